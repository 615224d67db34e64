"""What each round's time went to."""
