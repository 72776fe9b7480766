//! Plausibility against measured operators. Nothing is fitted here.
