"use strict";
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var root = document.documentElement, plots = [], view = [0, data.length];
  var gutter = 116, right = 16;
  function $(id) { return document.getElementById(id); }
  function color(name) { return getComputedStyle(root).getPropertyValue(name).trim(); }

  // Figures as the report's tables write them.
  function figure(v) { return v === 0 ? "0" : String(+v.toPrecision(3)); }
  function seconds(v) {
    if (v === 0) return "0 s";
    if (v < 1e-3) return figure(v * 1e6) + " µs";
    if (v < 1) return figure(v * 1e3) + " ms";
    return figure(v) + " s";
  }
  function value(unit, v) {
    if (v == null) return "–";
    if (unit === "s") return seconds(v);
    return (v % 1 === 0 ? v.toLocaleString("en") : v.toFixed(1)) + unit;
  }
  function clock(v) {
    if (data.length < 600) return figureTime(v) + " s";
    var m = Math.floor(v / 60), h = Math.floor(m / 60), s = figureTime(v - m * 60);
    return h ? h + "h" + String(m % 60).padStart(2, "0") + "m" + (+s ? s + "s" : "") : m + "m" + String(s).padStart(2, "0") + "s";
  }
  function figureTime(v) { return String(+v.toFixed(2)); }

  // Phases begin at dashed lines, faults are shaded: behind every chart.
  function backdrop(u) {
    var c = u.ctx, box = u.bbox;
    c.save();
    c.beginPath();
    c.rect(box.left, box.top, box.width, box.height);
    c.clip();
    data.bands.forEach(function (b) {
      var x = u.valToPos(b.from, "x", true), to = u.valToPos(b.to, "x", true);
      if (b.kind === "fault") {
        c.fillStyle = color("--fault-bg");
        c.fillRect(x, box.top, Math.max(to - x, 1), box.height);
        return;
      }
      c.strokeStyle = color("--line");
      c.setLineDash([4, 4]);
      c.beginPath();
      c.moveTo(x, box.top);
      c.lineTo(x, box.top + box.height);
      c.stroke();
      c.setLineDash([]);
    });
    c.restore();
  }

  function options(spec, width) {
    var ink = color("--soft"), grid = { stroke: color("--line"), width: 0.5 }, ticks = { stroke: color("--line"), width: 1, size: 5 };
    var font = "12px " + getComputedStyle(document.body).fontFamily;
    var series = [{ label: "at", value: function (u, v) { return v == null ? "–" : clock(v); } }];
    spec.lines.forEach(function (l) {
      var paths = spec.step ? uPlot.paths.stepped({ align: 1 }) : undefined;
      series.push({
        label: l.label, stroke: color(l.color), width: l.width, dash: l.dash.length ? l.dash : undefined, paths: paths, spanGaps: !!spec.step,
        points: { show: function (u, i) { return lonely(u.data[i]); }, size: 4, fill: color(l.color) },
        value: function (u, v) { return value(spec.unit, v); }
      });
    });
    var y = { range: function (u, min, max) { return [0, max > 0 ? max * 1.08 : 1]; } };
    if (spec.log) {
      y = { distr: 3, range: function (u, min, max) { return !(min > 0) ? [0.001, 1] : [Math.pow(10, Math.floor(Math.log10(min))), Math.pow(10, Math.ceil(Math.log10(max * 1.01)))]; } };
    }
    return {
      width: width, height: spec.height, series: series, padding: [8, right, 0, 0],
      scales: { x: { time: false, range: function (u, min, max) { return [min, max]; } }, y: y },
      axes: [
        { stroke: ink, grid: grid, ticks: ticks, font: font, size: 30, space: 90, values: function (u, at) { return at.map(clock); } },
        { stroke: ink, grid: grid, ticks: ticks, font: font, size: gutter, space: 28,
          values: function (u, at) { return at.map(function (v) { return v == null ? "" : value(spec.unit, v); }); },
          splits: spec.log ? decades : undefined }
      ],
      legend: { markers: { width: 3, dash: function (u, i) { var d = series[i].dash; return !d ? "solid" : d[0] > 2 ? "dashed" : "dotted"; } } },
      cursor: {
        sync: { key: "run" }, y: false, drag: { x: true, y: false, setScale: false }, points: { size: 7 },
        bind: { dblclick: function () { return function () { zoom(0, data.length); }; } }
      },
      hooks: { drawClear: [backdrop], setSelect: [function (u) {
        if (u.select.width > 4) zoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }] }
    };
  }
  function decades(u, axis, min, max) {
    var at = [];
    for (var d = Math.round(Math.log10(min)); d <= Math.round(Math.log10(max)); d++) at.push(Math.pow(10, d));
    return at;
  }

  // Points are drawn only where lines cannot be: a value with none beside it.
  function lonely(v) {
    for (var i = 0; i < v.length; i++) if (v[i] != null && (i === 0 || v[i - 1] == null) && (i === v.length - 1 || v[i + 1] == null)) return true;
    return false;
  }

  function draw(width) {
    plots.forEach(function (p) { p.destroy(); });
    plots = data.charts.map(function (spec) {
      var box = $("chart-" + spec.id);
      var lines = spec.lines.map(function (l) { return l.values; });
      var u = new uPlot(options(spec, width || box.clientWidth), [data.x].concat(lines), box);
      uPlot.sync("run").sub(u);
      return u;
    });
    zoom(view[0], view[1]);
  }

  // All charts, the lanes and the heat map show the same stretch. Inside the lanes everything is in per cent, so that a
  // wider inner picture, shifted to the left, is the zoom.
  function zoom(from, to) {
    from = Math.max(from, 0);
    to = Math.min(to, data.length);
    if (!(to > from)) return;
    view = [from, to];
    plots.forEach(function (p) { p.setScale("x", { min: from, max: to }); });
    var factor = data.length / (to - from);
    document.querySelectorAll("svg.zoom").forEach(function (s) {
      s.setAttribute("width", factor * 100 + "%");
      s.setAttribute("x", -from / data.length * factor * 100 + "%");
    });
    document.querySelectorAll("#zooms button").forEach(function (b, i) {
      var z = data.zooms[i];
      b.setAttribute("aria-pressed", String(Math.abs(z.from - from) < 1e-9 && Math.abs(z.to - to) < 1e-9));
    });
  }

  data.zooms.forEach(function (z) {
    var b = document.createElement("button");
    b.type = "button";
    b.textContent = z.name;
    b.addEventListener("click", function () { zoom(z.from, z.to); });
    $("zooms").appendChild(b);
  });

  // The cursor from the keyboard.
  data.charts.forEach(function (spec, n) {
    $("chart-" + spec.id).addEventListener("keydown", function (e) {
      var by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[e.key];
      if (!by) return;
      e.preventDefault();
      var u = plots[n], first = 0, last = data.x.length - 1;
      while (first < last && data.x[first] < view[0]) first++;
      while (last > first && data.x[last] > view[1]) last--;
      var i = u.cursor.idx == null ? first : Math.min(Math.max(u.cursor.idx + by, first), last);
      u.setCursor({ left: u.valToPos(data.x[i], "x"), top: 10 }, true, true); // told to the other charts too
    });
  });

  // Dark and light: as the system says, until the button says otherwise.
  var button = $("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  function dark() { return root.dataset.theme ? root.dataset.theme === "dark" : system.matches; }
  function label() { button.textContent = dark() ? "Light" : "Dark"; }
  button.hidden = false;
  button.addEventListener("click", function () { root.dataset.theme = dark() ? "light" : "dark"; label(); draw(); });
  system.addEventListener("change", function () { label(); draw(); });

  var copy = $("copy");
  if (navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", function () {
      navigator.clipboard.writeText($("replay").textContent).then(function () { copy.textContent = "Copied"; }, function () { copy.textContent = "Not allowed here"; });
    });
  }

  // A link to a check opens it.
  function open() {
    var to = location.hash && $(location.hash.slice(1));
    if (to && to.tagName === "DETAILS") to.open = true;
  }
  addEventListener("hashchange", open);

  // On paper: light, and every check open.
  var before = null;
  addEventListener("beforeprint", function () {
    before = root.dataset.theme || "";
    root.dataset.theme = "light";
    document.querySelectorAll("details.check").forEach(function (d) { d.open = true; });
    draw(680); // as wide as the style sheet makes figures on paper
  });
  addEventListener("afterprint", function () {
    if (before) root.dataset.theme = before; else delete root.dataset.theme;
    draw();
  });

  var waiting = 0;
  addEventListener("resize", function () {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(function () {
      plots.forEach(function (u, n) {
        var width = u.root.parentNode.clientWidth;
        if (width !== u.width) u.setSize({ width: width, height: data.charts[n].height });
      });
    });
  });
  label();
  open();
  draw();
})();
