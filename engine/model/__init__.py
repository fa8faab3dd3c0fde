"""The vocabulary: plans, steps, effects, facts, modes. Pure data, and what is derived from it."""
