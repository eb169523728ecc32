import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.transport.StdioServerTransportProvider;
import io.modelcontextprotocol.spec.McpSchema.CallToolResult;
import io.modelcontextprotocol.spec.McpSchema.ServerCapabilities;
import io.modelcontextprotocol.spec.McpSchema.Tool;
import java.util.List;
import java.util.Map;

/** Two tools on the current Java SDK, over stdio. */
public final class Server {
    private static Map<String, Object> schema(String type, List<String> names) {
        Map<String, Object> properties = new java.util.LinkedHashMap<>();
        names.forEach(name -> properties.put(name, Map.of("type", type)));
        return Map.of("type", "object", "properties", properties, "required", names);
    }

    private static Tool tool(String name, String description, Map<String, Object> schema) {
        return new Tool.Builder().name(name).description(description).inputSchema(schema).build();
    }

    private static CallToolResult text(Object value) {
        return CallToolResult.builder().addTextContent(String.valueOf(value)).build();
    }

    private static long number(Object value) {
        return ((Number) value).longValue();
    }

    public static void main(String[] arguments) {
        McpServer.sync(new StdioServerTransportProvider(McpJsonDefaults.getMapper()))
            .serverInfo("java-current", "1.0.0")
            .capabilities(ServerCapabilities.builder().tools(false).build())
            .toolCall(
                tool("echo", "Give a text back.", schema("string", List.of("text"))),
                (exchange, request) -> text(request.arguments().get("text")))
            .toolCall(
                tool("add", "Add two numbers.", schema("integer", List.of("a", "b"))),
                (exchange, request) -> text(
                    number(request.arguments().get("a")) + number(request.arguments().get("b"))))
            .build();
    }
}
