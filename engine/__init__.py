"""The engine: plans, and the shell that carries them out. ARCHITECTURE.md says where to begin reading."""
