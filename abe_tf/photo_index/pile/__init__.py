"""What a pile of photos tells of itself: copies, groups, and kinds by neighbours."""
