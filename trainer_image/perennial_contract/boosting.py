"""What XGBoost and LightGBM have in common: how rounds and learning rate are called, and what they are by default."""

DEFAULT_ROUNDS = 500
DEFAULT_LEARNING_RATE = 0.05
ROUNDS_NAMES = ("num_boost_round", "num_iterations", "n_estimators")
LEARNING_RATE_NAMES = ("learning_rate", "eta", "shrinkage_rate")
