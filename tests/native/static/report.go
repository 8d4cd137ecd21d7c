// Prints the variables that its arguments name, and its process number.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Printf("pid\t%d\n", os.Getpid())
	for _, name := range os.Args[1:] {
		fmt.Printf("getenv\t%s=%s\n", name, os.Getenv(name))
		for _, entry := range os.Environ() {
			if len(entry) > len(name) && entry[:len(name)+1] == name+"=" {
				fmt.Printf("environ\t%s\n", entry)
			}
		}
	}
	fmt.Printf("end\t\n")
	os.Stdin.Read(make([]byte, 1))
	os.Exit(42)
}
