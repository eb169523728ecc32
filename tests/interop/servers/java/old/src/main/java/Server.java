import com.fasterxml.jackson.databind.ObjectMapper;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.transport.StdioServerTransportProvider;
import io.modelcontextprotocol.spec.McpSchema.CallToolResult;
import io.modelcontextprotocol.spec.McpSchema.ServerCapabilities;
import io.modelcontextprotocol.spec.McpSchema.Tool;

/** Two tools on an old Java SDK, over stdio. */
public final class Server {
    private static final String TEXT = """
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
        """;
    private static final String PAIR = """
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
         "required": ["a", "b"]}
        """;

    private static CallToolResult text(Object value) {
        return new CallToolResult(String.valueOf(value), false);
    }

    private static long number(Object value) {
        return ((Number) value).longValue();
    }

    public static void main(String[] arguments) {
        McpServer.sync(new StdioServerTransportProvider(new ObjectMapper()))
            .serverInfo("java-old", "1.0.0")
            .capabilities(ServerCapabilities.builder().tools(false).build())
            .tool(
                new Tool("echo", "Give a text back.", TEXT),
                (exchange, given) -> text(given.get("text")))
            .tool(
                new Tool("add", "Add two numbers.", PAIR),
                (exchange, given) -> text(number(given.get("a")) + number(given.get("b"))))
            .build();
    }
}
