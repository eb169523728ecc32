// Two tools, a prompt and a resource on the Go SDK; arguments: a name, and stdio or http.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type text struct {
	Text string `json:"text" jsonschema:"what is given back"`
}

type pair struct {
	A int `json:"a" jsonschema:"the first number"`
	B int `json:"b" jsonschema:"the second number"`
}

type sum struct {
	Sum int `json:"sum"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, any, error) {
	content := []mcp.Content{&mcp.TextContent{Text: in.Text}}
	return &mcp.CallToolResult{Content: content}, nil, nil
}

func add(_ context.Context, _ *mcp.CallToolRequest, in pair) (*mcp.CallToolResult, sum, error) {
	return nil, sum{Sum: in.A + in.B}, nil
}

func greet(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	content := &mcp.TextContent{Text: "Greet " + r.Params.Arguments["name"] + "."}
	return &mcp.GetPromptResult{
		Messages: []*mcp.PromptMessage{{Role: "user", Content: content}},
	}, nil
}

func hello(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{
		Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "hello"}},
	}, nil
}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: os.Args[1], Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Give a text back."}, echo)
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "Add two numbers."}, add)
	server.AddPrompt(&mcp.Prompt{
		Name:      "greet",
		Arguments: []*mcp.PromptArgument{{Name: "name", Required: true}},
	}, greet)
	server.AddResource(&mcp.Resource{Name: "hello", URI: "memo://hello"}, hello)
	if len(os.Args) > 2 && os.Args[2] == "http" {
		handler := mcp.NewStreamableHTTPHandler(
			func(*http.Request) *mcp.Server { return server }, nil,
		)
		http.Handle("/mcp", handler)
		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
	}
	if err := server.Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		log.Fatal(err)
	}
}
