"""What one looks at before training: data as it would be read, views as they would be drawn."""
