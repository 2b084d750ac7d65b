"""What results must keep: ship limits held against rows, and results compared with earlier ones."""
