"""What a run tells of itself: its status, its log, its curve."""
