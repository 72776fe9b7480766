//! The rewrite rules, each with the condition under which it is an identity of real numbers.

use egg::{Id, Rewrite, Subst, Var, rewrite};

use super::analysis::Analyst;
use super::language::{Graph, Term};
use crate::facts::Facts;

pub(super) type Rule = Rewrite<Term, Analyst>;

/// All rules.
pub(super) fn all() -> Vec<Rule> {
    [arithmetic(), lattice(), branches(), reordering()].concat()
}

/// Neutral elements, cancelling, factoring.
fn arithmetic() -> Vec<Rule> {
    vec![
        rewrite!("add-zero"; "(+ ?a 0)" => "?a"),
        rewrite!("mul-one"; "(* ?a 1)" => "?a"),
        rewrite!("mul-zero"; "(* ?a 0)" => "0" if finite(["?a"])),
        rewrite!("factor"; "(+ (* ?a ?b) (* ?a ?c))" => "(* ?a (+ ?b ?c))" if finite(["?a", "?b", "?c"])),
        rewrite!("factor-one"; "(+ ?a (* ?a ?b))" => "(* ?a (+ 1 ?b))" if finite(["?a", "?b"])),
        rewrite!("cancel"; "(* ?a (recip ?a))" => "1" if both(finite(["?a"]), nonzero("?a"))),
        rewrite!("recip-recip"; "(recip (recip ?a))" => "?a" if nonzero("?a")),
        rewrite!("recip-mul"; "(recip (* ?a ?b))" => "(* (recip ?a) (recip ?b))"),
        rewrite!("mul-recip"; "(* (recip ?a) (recip ?b))" => "(recip (* ?a ?b))"),
    ]
}

/// Maximum and minimum: a distributive lattice, monotone in what is added and what is scaled.
fn lattice() -> Vec<Rule> {
    vec![
        rewrite!("max-same"; "(max ?a ?a)" => "?a"),
        rewrite!("min-same"; "(min ?a ?a)" => "?a"),
        rewrite!("max-absorb"; "(max ?a (min ?a ?b))" => "?a" if finite(["?b"])),
        rewrite!("min-absorb"; "(min ?a (max ?a ?b))" => "?a" if finite(["?b"])),
        rewrite!("max-above"; "(max ?a ?b)" => "?a" if above("?a", "?b")),
        rewrite!("min-below"; "(min ?a ?b)" => "?b" if above("?a", "?b")),
        rewrite!("max-add"; "(max (+ ?c ?a) (+ ?c ?b))" => "(+ ?c (max ?a ?b))" if finite(["?c"])),
        rewrite!("min-add"; "(min (+ ?c ?a) (+ ?c ?b))" => "(+ ?c (min ?a ?b))" if finite(["?c"])),
        rewrite!("max-mul"; "(max (* ?c ?a) (* ?c ?b))" => "(* ?c (max ?a ?b))" if scales("?c")),
        rewrite!("min-mul"; "(min (* ?c ?a) (* ?c ?b))" => "(* ?c (min ?a ?b))" if scales("?c")),
        rewrite!("max-of-min"; "(max (min ?a ?b) (min ?a ?c))" => "(min ?a (max ?b ?c))"),
        rewrite!("min-of-max"; "(min (max ?a ?b) (max ?a ?c))" => "(max ?a (min ?b ?c))"),
    ]
}

/// Case distinctions over the same guard.
fn branches() -> Vec<Rule> {
    vec![
        rewrite!("if-same"; "(if ?p ?a ?a)" => "?a"),
        rewrite!("if-then"; "(if ?p (if ?p ?a ?b) ?c)" => "(if ?p ?a ?c)"),
        rewrite!("if-else"; "(if ?p ?a (if ?p ?b ?c))" => "(if ?p ?a ?c)"),
        rewrite!("if-add"; "(+ (if ?p ?a ?b) (if ?p ?c ?d))" => "(if ?p (+ ?a ?c) (+ ?b ?d))"),
        rewrite!("if-mul"; "(* (if ?p ?a ?b) (if ?p ?c ?d))" => "(if ?p (* ?a ?c) (* ?b ?d))"),
        rewrite!("if-max"; "(max (if ?p ?a ?b) (if ?p ?c ?d))" => "(if ?p (max ?a ?c) (max ?b ?d))"),
        rewrite!("if-min"; "(min (if ?p ?a ?b) (if ?p ?c ?d))" => "(if ?p (min ?a ?c) (min ?b ?d))"),
        rewrite!("hoist-add"; "(if ?p (+ ?c ?a) (+ ?c ?b))" => "(+ ?c (if ?p ?a ?b))" if finite(["?c"])),
        rewrite!("hoist-mul"; "(if ?p (* ?c ?a) (* ?c ?b))" => "(* ?c (if ?p ?a ?b))" if finite(["?c"])),
        rewrite!("hoist-one"; "(if ?p (* ?c ?a) ?c)" => "(* ?c (if ?p ?a 1))" if finite(["?c"])),
    ]
}

/// Commutativity and associativity.
fn reordering() -> Vec<Rule> {
    vec![
        rewrite!("add-swap"; "(+ ?a ?b)" => "(+ ?b ?a)"),
        rewrite!("mul-swap"; "(* ?a ?b)" => "(* ?b ?a)"),
        rewrite!("max-swap"; "(max ?a ?b)" => "(max ?b ?a)"),
        rewrite!("min-swap"; "(min ?a ?b)" => "(min ?b ?a)"),
        rewrite!("add-turn"; "(+ ?a (+ ?b ?c))" => "(+ (+ ?a ?b) ?c)"),
        rewrite!("mul-turn"; "(* ?a (* ?b ?c))" => "(* (* ?a ?b) ?c)"),
        rewrite!("max-turn"; "(max ?a (max ?b ?c))" => "(max (max ?a ?b) ?c)"),
        rewrite!("min-turn"; "(min ?a (min ?b ?c))" => "(min (min ?a ?b) ?c)"),
    ]
}

fn var(name: &str) -> Var {
    name.parse().expect("rules name their variables")
}

fn facts<'a>(graph: &'a Graph, subst: &Subst, variable: Var) -> &'a Facts {
    &graph[subst[variable]].data.facts
}

fn finite<const N: usize>(names: [&str; N]) -> impl Fn(&mut Graph, Id, &Subst) -> bool + use<N> {
    let variables = names.map(var);
    move |graph, _, subst| variables.iter().all(|v| facts(graph, subst, *v).finite)
}

fn nonzero(name: &str) -> impl Fn(&mut Graph, Id, &Subst) -> bool + use<> {
    let variable = var(name);
    move |graph, _, subst| facts(graph, subst, variable).nonzero
}

/// A factor that keeps the order of what it scales.
fn scales(name: &str) -> impl Fn(&mut Graph, Id, &Subst) -> bool + use<> {
    let variable = var(name);
    move |graph, _, subst| {
        let facts = facts(graph, subst, variable);
        facts.non_negative() && facts.finite
    }
}

/// `a ≥ b` everywhere.
fn above(a: &str, b: &str) -> impl Fn(&mut Graph, Id, &Subst) -> bool + use<> {
    let (a, b) = (var(a), var(b));
    move |graph, _, subst| {
        let (a, b) = (facts(graph, subst, a), facts(graph, subst, b));
        a.lo >= b.hi && a.finite && b.finite
    }
}

fn both<A, B>(a: A, b: B) -> impl Fn(&mut Graph, Id, &Subst) -> bool
where
    A: Fn(&mut Graph, Id, &Subst) -> bool,
    B: Fn(&mut Graph, Id, &Subst) -> bool,
{
    move |graph, id, subst| a(graph, id, subst) && b(graph, id, subst)
}
