"""An association: from an address to messages that go both ways (PS3.7, PS3.8), and the calls that use it."""
