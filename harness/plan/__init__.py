"""What a comparison will do: arms, runs, what differs between them, what they cost."""
