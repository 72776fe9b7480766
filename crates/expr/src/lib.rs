//! Symbolic expressions: build, simplify, bind, compile, export.
