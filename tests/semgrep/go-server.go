package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/mark3labs/mcp-go/server"
)

func environment() string {
	// ruleid: go-environment-returned
	return strings.Join(os.Environ(), "\n")
}

func language() string {
	// ok: go-environment-returned
	return os.Getenv("LANG")
}

func main() {
	// ruleid: go-stdout-in-stdio-server
	fmt.Println("ready")
	// ok: go-stdout-in-stdio-server
	fmt.Fprintln(os.Stderr, "ready")
	if err := server.ServeStdio(s); err != nil {
		os.Exit(1)
	}
}

func client() {
	// ruleid: go-tls-unverified
	careless := &tls.Config{InsecureSkipVerify: true}
	// ok: go-tls-unverified
	careful := &tls.Config{RootCAs: pool}
	_, _ = careless, careful
}

func answer(w http.ResponseWriter) {
	// ruleid: go-any-origin
	w.Header().Set("Access-Control-Allow-Origin", "*")
	// ok: go-any-origin
	w.Header().Set("Access-Control-Allow-Origin", "https://example.com")
}
