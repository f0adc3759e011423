"""The MCP door: tools, resources and a prompt for agents, over standard input and output or over HTTP."""
