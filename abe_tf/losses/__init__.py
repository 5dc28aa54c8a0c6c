"""What is minimised: functions of learner embeddings and labels."""
