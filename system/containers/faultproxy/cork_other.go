//go:build !linux

package faultproxy

import "net"

func cork(net.Conn) {}
