//! What a solver reads: variables, rows and a linear objective, before it is written in a format.

/// A mixed-integer nonlinear program.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) variables: Vec<Variable>,
    pub(super) rows: Vec<Row>,
    pub(super) objective_name: String,
    pub(super) objective: Linear,
    pub(super) maximise: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Real,
    Integer,
    Binary,
}

/// Either end may be infinite.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) lo: f64,
    pub(super) hi: f64,
    pub(super) start: Option<f64>,
    /// What it is, with its unit; a part that is stored in other units says by which factor.
    pub(super) doc: String,
}

/// `lo ≤ body ≤ hi`; the constant of the body is in the bounds.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) body: Linear,
    pub(super) lo: f64,
    pub(super) hi: f64,
}

/// A constant and multiples of atoms.
#[derive(Clone, Default)]
pub(super) struct Linear {
    pub(super) constant: f64,
    pub(super) terms: Vec<(f64, Atom)>,
}

#[derive(Clone)]
pub(super) enum Atom {
    /// By position.
    Variable(usize),
    /// Powers with constant exponents; not a single one with exponent 1.
    Product(Vec<(Linear, f64)>),
    Exp(Box<Linear>),
    Ln(Box<Linear>),
}

impl Linear {
    pub(super) fn constant(constant: f64) -> Linear {
        Linear { constant, terms: Vec::new() }
    }

    pub(super) fn of(atom: Atom) -> Linear {
        Linear { constant: 0.0, terms: vec![(1.0, atom)] }
    }

    pub(super) fn variable(at: usize) -> Linear {
        Linear::of(Atom::Variable(at))
    }

    /// Whether it has no nonlinear atom.
    pub(super) fn is_linear(&self) -> bool {
        self.terms.iter().all(|(_, atom)| matches!(atom, Atom::Variable(_)))
    }

    pub(super) fn as_constant(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }

    pub(super) fn scaled(mut self, c: f64) -> Linear {
        self.constant *= c;
        self.terms.iter_mut().for_each(|(coefficient, _)| *coefficient *= c);
        self
    }

    pub(super) fn plus(mut self, other: Linear) -> Linear {
        self.constant += other.constant;
        for (c, atom) in other.terms {
            let same = |(_, known): &&mut (f64, Atom)| match (known, &atom) {
                (Atom::Variable(a), Atom::Variable(b)) => a == b,
                _ => false,
            };
            match self.terms.iter_mut().find(same) {
                Some((known, _)) => *known += c,
                None => self.terms.push((c, atom)),
            }
        }
        self
    }

    pub(super) fn minus(self, other: Linear) -> Linear {
        self.plus(other.scaled(-1.0))
    }

    /// `c · Π base ^ exponent`, coefficients in front.
    pub(super) fn product(mut c: f64, factors: Vec<(Linear, f64)>) -> Linear {
        let mut kept: Vec<(Linear, f64)> = Vec::with_capacity(factors.len());
        for (mut base, e) in factors {
            if let Some(value) = base.as_constant() {
                c *= value.powf(e);
                continue;
            }
            if base.constant == 0.0
                && let [(coefficient, _)] = base.terms.as_mut_slice()
                && (*coefficient > 0.0 || e.fract() == 0.0)
            {
                c *= coefficient.powf(e);
                *coefficient = 1.0;
            }
            kept.push((base, e));
        }
        match kept.as_slice() {
            [] => Linear::constant(c),
            [(_, 1.0)] => {
                let (base, _) = kept.remove(0);
                base.scaled(c)
            }
            _ => Linear { constant: 0.0, terms: vec![(c, Atom::Product(kept))] },
        }
    }

    /// Calls `visit` with every variable that is inside a nonlinear atom.
    pub(super) fn nonlinear_variables(&self, visit: &mut impl FnMut(usize)) {
        for (_, atom) in &self.terms {
            match atom {
                Atom::Variable(_) => {}
                Atom::Product(factors) => factors.iter().for_each(|(base, _)| base.all(visit)),
                Atom::Exp(inner) | Atom::Ln(inner) => inner.all(visit),
            }
        }
    }

    fn all(&self, visit: &mut impl FnMut(usize)) {
        for (_, atom) in &self.terms {
            if let Atom::Variable(at) = atom {
                visit(*at);
            }
        }
        self.nonlinear_variables(visit);
    }
}
