//! From nodes to instructions.
//!
//! Nodes are emitted by ascending id, children first. A node goes to the innermost loop whose index
//! it depends on, so everything that does not change in a loop is computed before it.

use sglsim_units::{HashMap, HashSet, Nearest};

use super::{Check, Code, Instruction, Loop, MAX_NESTING, Op};
use crate::ExprError;
use crate::arena::Arena;
use crate::facts::FreeSet;
use crate::node::{Choice, Id, Node};
use crate::number::Number;

/// Where a value is found, before the number of constants is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Input(u32),
    Constant(u32),
    Result(u32),
}

struct Compiler<'a> {
    arena: &'a Arena,
    places: HashMap<Id, Place>,
    /// Products that are computed together with their coefficient in the one sum that uses them.
    fused: HashSet<Id>,
    integers: Vec<bool>,
    constants: Vec<f64>,
    constant_places: HashMap<u64, Place>,
    instructions: Vec<(Op, [Place; 3])>,
    loops: Vec<(u32, Place)>,
    tables: Vec<u32>,
    checks: Vec<(Place, Check)>,
}

/// A program without outputs.
pub(super) fn empty(inputs: &[&str]) -> Code {
    Code {
        instructions: Vec::new(),
        blocks: Vec::new(),
        loops: Vec::new(),
        tables: Vec::new(),
        checks: HashMap::default(),
        registers: vec![0.0; inputs.len()],
        first: inputs.len(),
        inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
        integers: vec![false; inputs.len()],
        outputs: Vec::new(),
    }
}

pub(super) fn compile(arena: &Arena, outputs: &[Id], inputs: &[&str]) -> Result<Code, ExprError> {
    for id in outputs {
        arena.check_closed(*id)?;
    }
    let mut compiler = Compiler {
        arena,
        places: HashMap::default(),
        fused: HashSet::default(),
        integers: vec![false; inputs.len()],
        constants: Vec::new(),
        constant_places: HashMap::default(),
        instructions: Vec::new(),
        loops: Vec::new(),
        tables: Vec::new(),
        checks: Vec::new(),
    };
    let all = arena.reachable(outputs);
    compiler.place_inputs(&all, inputs)?;
    compiler.choose_fused(&all, outputs);
    let top: Vec<Id> =
        all.into_iter().filter(|id| arena.facts(*id).free == FreeSet::EMPTY).collect();
    compiler.block(&top, &mut Vec::new())?;
    Ok(compiler.finish(outputs, inputs))
}

impl Compiler<'_> {
    fn place_inputs(&mut self, nodes: &[Id], inputs: &[&str]) -> Result<(), ExprError> {
        let mut missing = Vec::new();
        for id in nodes {
            let Node::Symbol(at) = *self.arena.node(*id) else { continue };
            let name = &self.arena.symbols[at as usize].name;
            match inputs.iter().position(|input| input == name) {
                Some(at) => {
                    self.integers[at] = self.arena.facts(*id).integer;
                    let at = u32::try_from(at).expect("fewer than 2^32 inputs");
                    self.places.insert(*id, Place::Input(at));
                }
                None => missing.push((at, name.clone())),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        let missing: Vec<String> = missing.into_iter().map(|(_, name)| name).collect();
        let hint = Nearest::to(&missing[0], inputs.iter().copied());
        let bound = inputs.iter().map(|name| (*name).to_owned()).collect();
        Err(ExprError::Unbound { missing, bound, hint })
    }

    /// `c / x` in a sum is one division and not a reciprocal times `c`; so is `p · x / q`.
    fn choose_fused(&mut self, nodes: &[Id], outputs: &[Id]) {
        let arena = self.arena;
        let mut uses: HashMap<Id, usize> = HashMap::default();
        outputs.iter().for_each(|id| *uses.entry(*id).or_default() += 1);
        for id in nodes {
            arena.node(*id).for_each_child(|child| *uses.entry(child).or_default() += 1);
        }
        for id in nodes {
            let Node::Add { terms, .. } = arena.shape(*id) else { continue };
            for (term, c) in terms {
                let Node::Mul { coefficient, factors } = arena.shape(term) else { continue };
                let divides = factors.iter().all(|(_, e)| e.is_negative()) || fraction(c).1 != 1.0;
                let scales = !(c.is_one() || c.is_minus_one());
                let here = arena.facts(term).free == arena.facts(*id).free;
                if divides && scales && here && coefficient.is_one() && uses[&term] == 1 {
                    self.fused.insert(term);
                }
            }
        }
    }

    /// Emits nodes that depend on no index but the active ones.
    fn block(&mut self, nodes: &[Id], active: &mut Vec<u32>) -> Result<(), ExprError> {
        for id in nodes {
            if self.places.contains_key(id) || self.fused.contains(id) {
                continue;
            }
            let place = match self.arena.shape(*id) {
                Node::Sum { index, lo, hi, body } => {
                    self.looped(Op::Sum, index, (lo, hi, body), active)?
                }
                Node::FixedPoint { index, lo, hi, body } => {
                    let root = self.looped(Op::Root, index, (lo, hi, body), active)?;
                    let unknown = self.arena.indices[index as usize].clone();
                    self.checks.push((root, Check::Bracketed(unknown)));
                    root
                }
                node => self.node(&node),
            };
            self.places.insert(*id, place);
        }
        Ok(())
    }

    fn looped(
        &mut self,
        op: Op,
        index: u32,
        (lo, hi, body): (Id, Id, Id),
        active: &mut Vec<u32>,
    ) -> Result<Place, ExprError> {
        if active.len() == MAX_NESTING {
            return Err(ExprError::NestedSums { depth: active.len() + 1, limit: MAX_NESTING });
        }
        active.push(index);
        let arena = self.arena;
        let inside: Vec<Id> = arena
            .reachable_while(&[body], |id| arena.depends(id, index))
            .into_iter()
            .filter(|id| arena.free(arena.facts(*id).free).iter().all(|i| active.contains(i)))
            .collect();
        let number = self.loops.len();
        let (lo, hi) = (self.places[&lo], self.places[&hi]);
        let result = self.emit(op, [lo, hi, Place::Input(to_u32(number))]);
        self.loops.push((0, result));
        let start = self.instructions.len();
        let running = self.emit(Op::Index, [result; 3]);
        let is_index = |id: &&Id| matches!(arena.node(**id), Node::Index(i) if *i == index);
        let index_node = inside.iter().find(is_index);
        if let Some(id) = index_node {
            self.places.insert(*id, running);
        }
        self.block(&inside, active)?;
        self.loops[number] = (to_u32(self.instructions.len() - start), self.places[&body]);
        // Another sum over the same index computes its own.
        for id in inside {
            self.places.remove(&id);
        }
        active.pop();
        Ok(result)
    }

    fn node(&mut self, node: &Node<Number>) -> Place {
        match node {
            Node::Number(n) => self.constant(n.to_f64()),
            Node::Bool(b) => self.constant(f64::from(u8::from(*b))),
            Node::Symbol(_)
            | Node::Index(_)
            | Node::Invalid(_)
            | Node::Sum { .. }
            | Node::FixedPoint { .. } => unreachable!("placed, refused or emitted before"),
            Node::Add { constant, terms } => self.add(*constant, terms),
            Node::Mul { coefficient, factors } => self.mul(*coefficient, factors),
            Node::Pow(a, b) => self.binary(Op::Pow, *a, *b),
            Node::Exp(a) => self.unary(Op::Exp, *a),
            Node::Ln(a) => self.unary(Op::Ln, *a),
            Node::Ceil(a) => self.unary(Op::Ceil, *a),
            Node::Floor(a) => self.unary(Op::Floor, *a),
            Node::Not(a) => self.unary(Op::Not, *a),
            Node::Le(a, b) => self.binary(Op::Le, *a, *b),
            Node::Lt(a, b) => self.binary(Op::Lt, *a, *b),
            Node::Eq(a, b) => self.binary(Op::Eq, *a, *b),
            Node::Max(list) => self.fold(Op::Max, list),
            Node::Min(list) => self.fold(Op::Min, list),
            Node::And(list) => self.fold(Op::And, list),
            Node::Or(list) => self.fold(Op::Or, list),
            Node::MinOf(choices) => self.choice(choices),
            Node::Assume { value, lo, hi, integer } => {
                let end = |n: &Option<Number>, none| n.map_or(none, Number::to_f64);
                let range = (end(lo, f64::NEG_INFINITY), end(hi, f64::INFINITY));
                self.assumed(*value, range, *integer)
            }
            Node::Table { table, index } => self.table(*table, *index),
            Node::Piecewise { arms, otherwise } => {
                let last = self.places[otherwise];
                arms.iter().rev().fold(last, |rest, (guard, value)| {
                    let (guard, value) = (self.places[guard], self.places[value]);
                    self.emit(Op::Select, [guard, value, rest])
                })
            }
        }
    }

    /// The least feasible value, starting from one that always is, or from infinity.
    fn choice(&mut self, choices: &[Choice]) -> Place {
        let certain = choices.iter().position(|choice| self.arena.always(choice.guard));
        let mut least = match certain {
            Some(at) => self.places[&choices[at].value],
            None => self.constant(f64::INFINITY),
        };
        for (at, choice) in choices.iter().enumerate() {
            if Some(at) == certain {
                continue;
            }
            let value = self.places[&choice.value];
            let lower = self.emit(Op::Min, [least, value, least]);
            least = match self.arena.always(choice.guard) {
                true => lower,
                false => self.emit(Op::Select, [self.places[&choice.guard], lower, least]),
            };
        }
        if certain.is_none() {
            // A place of its own, for nothing else may look infeasible.
            let least_place = self.emit(Op::Min, [least; 3]);
            let names = choices.iter().map(|choice| choice.name.to_string()).collect();
            self.checks.push((least_place, Check::Feasible(names)));
            return least_place;
        }
        least
    }

    /// The value in a place of its own, with what to check about it.
    fn assumed(&mut self, value: Id, (lo, hi): (f64, f64), integer: bool) -> Place {
        let operand = self.arena.text(value, 80);
        let value = self.places[&value];
        let place = self.emit(Op::Min, [value; 3]);
        self.checks.push((place, Check::Assumed { operand, lo, hi, integer }));
        place
    }

    fn table(&mut self, table: u32, index: Id) -> Place {
        let known = self.tables.iter().position(|known| *known == table);
        let number = known.unwrap_or_else(|| {
            self.tables.push(table);
            self.tables.len() - 1
        });
        let index = self.places[&index];
        self.emit(Op::Table, [index, Place::Input(to_u32(number)), index])
    }

    /// Additions in the order of the terms, after the constant. A coefficient `p / q` multiplies by
    /// `p` and then divides by `q`: a product with its reciprocal would round differently.
    fn add(&mut self, constant: Number, terms: &[(Id, Number)]) -> Place {
        let mut terms: Vec<(Place, Number)> =
            terms.iter().map(|(term, c)| self.term(*term, *c)).collect();
        let mut sum = (!constant.is_zero()).then(|| self.constant(constant.to_f64()));
        if sum.is_none()
            && let Some(start) = terms.iter().position(|(_, c)| c.is_one())
        {
            sum = Some(terms.remove(start).0);
        }
        for (term, c) in terms {
            sum = Some(match (sum, c.as_ratio()) {
                (Some(sum), _) if c.is_one() => self.emit(Op::Add, [sum, term, sum]),
                (Some(sum), _) if c.is_minus_one() => self.emit(Op::Sub, [sum, term, sum]),
                (Some(sum), Some((_, 1)) | None) => {
                    let c = self.constant(c.to_f64());
                    self.emit(Op::MulAdd, [term, c, sum])
                }
                (sum, _) => {
                    let term = self.scaled(term, c);
                    sum.map_or(term, |sum| self.emit(Op::Add, [sum, term, sum]))
                }
            });
        }
        sum.unwrap_or_else(|| self.constant(0.0))
    }

    /// A term and the coefficient that is still to be applied.
    fn term(&mut self, term: Id, c: Number) -> (Place, Number) {
        match self.arena.shape(term) {
            Node::Mul { factors, .. } if self.fused.contains(&term) => {
                (self.mul(c, &factors), Number::ONE)
            }
            _ => (self.places[&term], c),
        }
    }

    fn scaled(&mut self, x: Place, c: Number) -> Place {
        let (num, den) = fraction(c);
        let x = if num == 1.0 {
            x
        } else if num == -1.0 {
            self.emit(Op::Neg, [x; 3])
        } else {
            let num = self.constant(num);
            self.emit(Op::Mul, [num, x, num])
        };
        if den == 1.0 {
            return x;
        }
        let den = self.constant(den);
        self.emit(Op::Div, [x, den, x])
    }

    /// One product of everything above the line, one of everything below, and one division.
    fn mul(&mut self, coefficient: Number, factors: &[(Id, Number)]) -> Place {
        let (num, den) = fraction(coefficient);
        let mut above = Vec::new();
        let mut below = Vec::new();
        let negate = num == -1.0;
        if !negate && num != 1.0 {
            above.push(self.constant(num));
        }
        if den != 1.0 {
            below.push(self.constant(den));
        }
        for (base, e) in factors {
            let base = self.places[base];
            if e.is_negative() {
                below.push(self.constant_power(base, e.neg()));
            } else {
                above.push(self.constant_power(base, *e));
            }
        }
        let mut result = match self.product(&above) {
            Some(above) => above,
            None => self.constant(1.0),
        };
        if let Some(below) = self.product(&below) {
            result = self.emit(Op::Div, [result, below, result]);
        }
        if negate { self.emit(Op::Neg, [result; 3]) } else { result }
    }

    fn product(&mut self, factors: &[Place]) -> Option<Place> {
        let (first, rest) = factors.split_first()?;
        Some(rest.iter().fold(*first, |product, x| self.emit(Op::Mul, [product, *x, product])))
    }

    fn constant_power(&mut self, base: Place, e: Number) -> Place {
        match e.as_small_int() {
            Some(1) => base,
            Some(2) => self.emit(Op::Mul, [base; 3]),
            Some(e) => self.emit(Op::PowInt, [base, Place::Input(e.unsigned_abs()), base]),
            None if e == Number::HALF => self.emit(Op::Sqrt, [base; 3]),
            None => {
                let e = self.constant(e.to_f64());
                self.emit(Op::Pow, [base, e, base])
            }
        }
    }

    fn unary(&mut self, op: Op, a: Id) -> Place {
        let a = self.places[&a];
        self.emit(op, [a; 3])
    }

    fn binary(&mut self, op: Op, a: Id, b: Id) -> Place {
        let (a, b) = (self.places[&a], self.places[&b]);
        self.emit(op, [a, b, a])
    }

    fn fold(&mut self, op: Op, list: &[Id]) -> Place {
        let first = self.places[&list[0]];
        list[1..].iter().fold(first, |folded, id| {
            let next = self.places[id];
            self.emit(op, [folded, next, folded])
        })
    }

    fn constant(&mut self, value: f64) -> Place {
        let next = Place::Constant(to_u32(self.constants.len()));
        *self.constant_places.entry(value.to_bits()).or_insert_with(|| {
            self.constants.push(value);
            next
        })
    }

    fn emit(&mut self, op: Op, operands: [Place; 3]) -> Place {
        self.instructions.push((op, operands));
        Place::Result(to_u32(self.instructions.len() - 1))
    }

    fn finish(self, outputs: &[Id], inputs: &[&str]) -> Code {
        let first = inputs.len() + self.constants.len();
        let register = |place: Place| match place {
            Place::Input(at) => at,
            Place::Constant(at) => to_u32(inputs.len()) + at,
            Place::Result(at) => to_u32(first) + at,
        };
        let mut registers = vec![0.0; inputs.len()];
        registers.extend_from_slice(&self.constants);
        registers.resize(first + self.instructions.len(), 0.0);
        Code {
            instructions: self
                .instructions
                .iter()
                .map(|(op, places)| {
                    let [a, b, c] = places.map(register);
                    Instruction { op: *op, a, b, c }
                })
                .collect(),
            blocks: Vec::new(),
            loops: self
                .loops
                .iter()
                .map(|(length, term)| Loop { length: *length, term: register(*term) })
                .collect(),
            tables: self
                .tables
                .iter()
                .map(|table| self.arena.tables[*table as usize].clone())
                .collect(),
            checks: self
                .checks
                .into_iter()
                .map(|(place, check)| (register(place), check))
                .collect(),
            registers,
            first,
            inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
            integers: self.integers,
            outputs: outputs.iter().map(|id| register(self.places[id])).collect(),
        }
    }
}

/// Numerator and denominator as `f64`; a float, or a fraction too large to be exact, over 1.
fn fraction(n: Number) -> (f64, f64) {
    match n.as_ratio() {
        Some((num, den)) if num.unsigned_abs().max(den.unsigned_abs()) < 1 << 53 => {
            (num as f64, den as f64)
        }
        _ => (n.to_f64(), 1.0),
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("a program has fewer than 2^32 parts")
}
