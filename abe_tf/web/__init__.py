"""What web servers on a developer's own machine share."""
