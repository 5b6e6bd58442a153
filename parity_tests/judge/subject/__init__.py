"""The subject of a verdict: its signature, its conventions, its inputs."""
