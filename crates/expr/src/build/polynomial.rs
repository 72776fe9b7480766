//! Expressions as polynomials in a sum index.

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

/// Highest degree with a closed form.
pub(crate) const MAX_DEGREE: usize = 3;

/// Coefficients by power of the index; `None` is zero.
pub(crate) type Polynomial = [Option<Id>; MAX_DEGREE + 1];

impl Arena {
    /// `id` as a polynomial in `index` with coefficients free of it, if it is one of low degree.
    pub(crate) fn polynomial(&mut self, id: Id, index: u32) -> Option<Polynomial> {
        let order = {
            let this: &Arena = self;
            this.reachable_while(&[id], |node| this.depends(node, index))
        };
        let mut known: HashMap<Id, Polynomial> = HashMap::default();
        for node in order {
            let polynomial = match self.shape(node) {
                Node::Index(_) => {
                    let one = self.make_number("sum", Number::ONE);
                    Some([None, Some(one), None, None])
                }
                Node::Add { constant, terms } => {
                    let constant = self.make_number("sum", constant);
                    let mut sum: Polynomial = [Some(constant), None, None, None];
                    for (term, c) in terms {
                        let term =
                            known.get(&term).copied().unwrap_or([Some(term), None, None, None]);
                        sum = self.poly_add(&sum, &term, c);
                    }
                    Some(sum)
                }
                Node::Mul { coefficient, factors } => {
                    self.poly_product(&known, coefficient, &factors)
                }
                _ => None,
            };
            known.insert(node, polynomial?);
        }
        Some(known.get(&id).copied().unwrap_or([Some(id), None, None, None]))
    }

    fn poly_add(&mut self, a: &Polynomial, b: &Polynomial, scale: Number) -> Polynomial {
        std::array::from_fn(|k| match (a[k], b[k]) {
            (left, None) => left,
            (None, Some(right)) => Some(self.scale(right, scale)),
            (Some(left), Some(right)) => {
                Some(self.add(Number::ZERO, &[(left, Number::ONE), (right, scale)]))
            }
        })
    }

    fn poly_product(
        &mut self,
        known: &HashMap<Id, Polynomial>,
        coefficient: Number,
        factors: &[(Id, Number)],
    ) -> Option<Polynomial> {
        let (depending, invariant): (Vec<_>, Vec<_>) =
            factors.iter().copied().partition(|(base, _)| known.contains_key(base));
        let outside = self.mul(coefficient, &invariant);
        let mut product: Polynomial = [Some(outside), None, None, None];
        for (base, exponent) in depending {
            let times = exponent.as_small_int().filter(|e| (1..=MAX_DEGREE as i32).contains(e))?;
            for _ in 0..times {
                product = self.poly_mul(&product, &known[&base])?;
            }
        }
        Some(product)
    }

    fn poly_mul(&mut self, a: &Polynomial, b: &Polynomial) -> Option<Polynomial> {
        let mut product: Polynomial = [None; MAX_DEGREE + 1];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                let (Some(x), Some(y)) = (x, y) else { continue };
                let slot = product.get_mut(i + j)?;
                let term = self.mul(Number::ONE, &[(*x, Number::ONE), (*y, Number::ONE)]);
                *slot = Some(match *slot {
                    None => term,
                    Some(sum) => self.add(Number::ZERO, &[(sum, Number::ONE), (term, Number::ONE)]),
                });
            }
        }
        Some(product)
    }
}
