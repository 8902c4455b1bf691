//! REST, metrics and health endpoints over what the runner knows
