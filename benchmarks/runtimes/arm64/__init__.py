"""The runtime `litert-arm64`: LiteRT's arm64 build, as phones run it, under QEMU's emulation."""
