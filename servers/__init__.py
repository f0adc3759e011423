"""The doors for programs: REST and MCP. They parse, hand over to the hall, and show; nothing is decided here."""
