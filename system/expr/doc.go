// Package expr is the language of derived columns, a subset of Honeycomb's: one expression over the columns of an event,
// checked once and then evaluated for every event, in bounded time and without ever failing.
//
//	IF($http.route = "/health", null, AND($status < 500, $duration_ms <= 250))
//
// An expression is made of
//   - columns: $duration_ms, or $"name with spaces" (also where a name begins with a digit, or has characters beside letters,
//     digits and _ . / : -). Put spaces around operators: $a-$b begins with the column "a-";
//   - literals: 12, -3, 0.5, 4e+2, "text" with the escapes of Go, `raw text`, true, false, null;
//   - functions, in capitals: see [Functions]. A comma may follow the last argument;
//   - operators, from the loosest: OR; AND; = != < <= > >= (not chained); + -; * / %; a prefix !; and parentheses. Each is
//     another way to write a function: a != b is NOT(EQUALS(a, b)).
//
// # Types
//
// Literals and the results of most functions have a known type, columns have not. What can never be right is refused by
// [Parse]: "a" + 1, or $x = "a" OR 1 < "b". What is not known before becomes null or false when it is evaluated:
//
//	IF, SWITCH, COALESCE       null if no branch is taken, or all are null
//	AND, OR, NOT, conditions   true, numbers other than 0 and the string "true" hold; null and all else do not.
//	                           The result is a boolean, never null: NOT(null) is true
//	EXISTS                     false for null, true for all else
//	EQUALS = != IN SWITCH      null equals nothing, not null either; values of different types are not equal,
//	                           but 1 equals 1.0; not-a-number equals nothing
//	LT LTE GT GTE              false if either is null, a boolean, not-a-number, or of another type than the other
//	MIN MAX                    nulls, booleans and what is not of the first other argument's type are passed over;
//	                           null if nothing is left
//	SUM SUB MUL DIV MOD ABS    null if any argument is null or no number, if the result does not fit, and for division
//	                           by 0. Whole numbers stay whole, but DIV always gives a fraction
//	BUCKET                     null for what is no finite number
//	CONCAT                     nulls are passed over; null if the text is longer than [MaxText]
//	TO_LOWER LENGTH            null for what is no string. LENGTH is in bytes
//	STARTS_WITH ENDS_WITH
//	CONTAINS REG_MATCH         false if an argument is no string. REG_MATCH looks at the first [MaxMatch] bytes
//	INT FLOAT BOOL STRING      null for null, and for what is no number (INT, FLOAT). INT cuts off the fraction
//	UNIX_TIMESTAMP             seconds with a fraction; null for what is no RFC 3339 time
//
// Two rules differ from Honeycomb's documentation, both so that a column that is missing cannot pass for a good value:
// arithmetic over null, or over a string, is null there 0 (or the string's number: write FLOAT($column)); and INT, FLOAT
// and BOOL of null are null, there 0 and false. And $a=1 or $a+1 without spaces is refused, where Honeycomb takes = and +
// into the column's name.
//
// As an SLI, true is good, false is bad, and null is not relevant ([Good]). A comparison with a column that is absent is
// false and so bad, as in Honeycomb: to leave such events out, write IF(EXISTS($duration_ms), $duration_ms < 250).
package expr
