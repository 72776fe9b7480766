//! Discrete-event simulation of an SGLang deployment.
