// Starts the program of its argument as Go programs do, by a raw system call, and waits for it.
package main

import (
	"os"
	"os/exec"
)

func main() {
	command := exec.Command(os.Args[1])
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}
