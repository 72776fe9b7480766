//! Operator laws, parallel plans, memory laws and the step law, as expressions.
