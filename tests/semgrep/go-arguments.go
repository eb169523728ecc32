package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"github.com/mark3labs/mcp-go/mcp"
)

func ping(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	host, err := request.RequireString("host")
	if err != nil {
		return nil, err
	}
	// ruleid: go-command-from-argument
	exec.Command("sh", "-c", "ping -c1 "+host).Run()
	// ok: go-command-from-argument
	exec.Command("ping", "-c1", "--", host).Run()
	return nil, nil
}

func read(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	name := request.GetString("name", "")
	// ruleid: go-path-from-argument
	data, err := os.ReadFile(filepath.Join("/data", name))
	_ = data
	return nil, err
}

func readLocal(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	name := request.GetString("name", "")
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("outside")
	}
	// ok: go-path-from-argument
	data, err := os.ReadFile(filepath.Join("/data", name))
	_ = data
	return nil, err
}

func fetch(ctx context.Context, req *mcp.CallToolRequest, input Input) (*mcp.CallToolResult, Output, error) {
	// ruleid: go-url-from-argument
	http.Get(input.URL)
	// ok: go-url-from-argument
	http.Get("https://api.example.com/items/" + input.ID)
	return nil, Output{}, nil
}

func find(ctx context.Context, req *mcp.CallToolRequest, input Input) (*mcp.CallToolResult, Output, error) {
	// ruleid: go-sql-from-argument
	db.Query("SELECT * FROM contacts WHERE name = '" + input.Name + "'")
	// ok: go-sql-from-argument
	db.Query("SELECT * FROM contacts WHERE name = ?", input.Name)
	// ruleid: go-template-from-argument
	template.New("greeting").Parse(input.Text)
	// ok: go-template-from-argument
	template.New("greeting").Parse("Hello {{.Name}}")
	return nil, Output{}, nil
}
