/* A small stdio MCP server for measuring: one tool that reads a file and answers.
   It takes its peer's lines apart by searching, because its peer is our own benchmark. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPENED "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"static\",\"version\":\"1\"}}"
#define LISTED "{\"tools\":[{\"name\":\"read\",\"description\":\"Reads its notes.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}}]}"

int main(void) {
  char *line = NULL, notes[256];
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    char *id = strstr(line, "\"id\":");
    if (!id) continue;
    const char *result = "{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}";
    if (strstr(line, "\"initialize\"")) result = OPENED;
    else if (strstr(line, "\"tools/list\"")) result = LISTED;
    else {
      int file = open("/etc/hostname", O_RDONLY);
      if (file >= 0) {
        if (read(file, notes, sizeof notes) < 0) return 1;
        close(file);
      }
    }
    printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}\n", atoi(id + 5), result);
    fflush(stdout);
  }
  return 0;
}
