//go:build !clocked

package main

func followWall() {}
