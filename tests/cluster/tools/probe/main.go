// Command probe is what tests run in pods to see what a pod can do: it serves
// HTTP until it is stopped, and answers one question a call.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// patience is how long a dropped packet is waited for; an answered one takes milliseconds.
const patience = 3 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: probe serve PORT | dial HOST:PORT | lookup NAME | write FILE TEXT | read FILE")
	}
	switch what := args[1]; args[0] {
	case "serve":
		return http.ListenAndServe(":"+what, http.HandlerFunc(answer))
	case "dial":
		connection, err := net.DialTimeout("tcp", what, patience)
		if err != nil {
			return err
		}
		return connection.Close()
	case "lookup":
		addresses, err := net.LookupHost(what)
		fmt.Println(addresses)
		return err
	case "write":
		return os.WriteFile(what, []byte(args[len(args)-1]), 0o600)
	case "read":
		text, err := os.ReadFile(what)
		fmt.Print(string(text))
		return err
	default:
		return fmt.Errorf("unknown question %q", args[0])
	}
}

// answer says who asked, as the pod sees it.
func answer(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, r.RemoteAddr)
}
