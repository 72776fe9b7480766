//! The functions that a text may call.

use std::ops::RangeInclusive;

use crate::arena::Arena;
use crate::build::Lattice;
use crate::node::Id;
use crate::number::Number;

/// How the dimensions of arguments and result go together.
#[derive(Clone, Copy)]
pub(super) enum Dimensions {
    /// All have one.
    Alike,
    /// All are pure numbers.
    Pure,
    /// As the function itself says.
    Own,
}

pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arguments: RangeInclusive<usize>,
    /// The same in words.
    pub(super) takes: &'static str,
    pub(super) dimension: Dimensions,
    pub(super) build: fn(&mut Arena, &[Id]) -> Id,
}

const ONE: &str = "one argument";
const TWO: &str = "two arguments";
const SOME: &str = "one argument or more";

pub(super) const FUNCTIONS: [Function; 12] = {
    use Dimensions::{Alike, Own, Pure};
    const fn of(
        name: &'static str,
        (arguments, takes): (RangeInclusive<usize>, &'static str),
        dimension: Dimensions,
        build: fn(&mut Arena, &[Id]) -> Id,
    ) -> Function {
        Function { name, arguments, takes, dimension, build }
    }
    [
        of("max", (1..=usize::MAX, SOME), Alike, |a, x| a.lattice(Lattice::Max, x)),
        of("min", (1..=usize::MAX, SOME), Alike, |a, x| a.lattice(Lattice::Min, x)),
        of("ceil", (1..=1, ONE), Alike, |a, x| a.ceil(x[0])),
        of("floor", (1..=1, ONE), Alike, |a, x| a.floor(x[0])),
        of("abs", (1..=1, ONE), Alike, |a, x| {
            let negative = a.scale(x[0], Number::MINUS_ONE);
            a.lattice(Lattice::Max, &[x[0], negative])
        }),
        of("mod", (2..=2, TWO), Alike, |a, x| a.modulo(x[0], x[1])),
        of("exp", (1..=1, ONE), Pure, |a, x| a.exp(x[0])),
        of("ln", (1..=1, ONE), Pure, |a, x| a.ln(x[0])),
        of("pow", (2..=2, TWO), Own, |a, x| a.checked_power(x[0], x[1])),
        of("sqrt", (1..=1, ONE), Own, |a, x| {
            let half = a.make_number("sqrt", Number::HALF);
            a.checked_power(x[0], half)
        }),
        of("ceil_div", (2..=2, TWO), Own, |a, x| {
            let quotient = a.checked_product(x[0], x[1], Number::MINUS_ONE);
            a.alike("ceil", &[quotient], |a| a.ceil(quotient))
        }),
        of("floor_div", (2..=2, TWO), Own, |a, x| {
            let quotient = a.checked_product(x[0], x[1], Number::MINUS_ONE);
            a.alike("floor", &[quotient], |a| a.floor(quotient))
        }),
    ]
};
