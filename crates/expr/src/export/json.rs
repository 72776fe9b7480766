//! JSON documents: the graph as a list of nodes, children first. Versioned; reads back to the same
//! expressions.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sglsim_units::{HashMap, Nearest};

use crate::arena::{Arena, Label};
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{Constraint, Context, Expr, ExprError, Module, Symbol, Values};

const EXPRESSION: &str = "sglsim-expr";
const MODULE: &str = "sglsim-module";
const VERSION: u64 = 1;

/// JSON Schema (draft 2020-12) of the documents of [`Module::to_json`] and [`Expr::to_json`].
///
/// It tells their shape; that operands are earlier nodes and fit their operation is checked on
/// reading.
pub const JSON_SCHEMA: &str = include_str!("../../schema/expr.schema.json");

/// The shared part of all documents.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    format: String,
    version: u64,
    symbols: Vec<Symbol>,
    indices: Vec<String>,
    /// Positions of the indices that are unknowns of fixed points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unknowns: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tables: Vec<Vec<f64>>,
    nodes: Vec<Node<Number>>,
    names: Vec<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    module: Option<ModulePart>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    node: Id,
    name: String,
    unit: String,
    doc: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModulePart {
    name: String,
    doc: String,
    objective: Id,
    objective_name: String,
    variables: Vec<Id>,
    constraints: Vec<ConstraintPart>,
    values: Values,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstraintPart {
    name: String,
    doc: String,
    holds: Id,
}

impl Arena {
    pub(crate) fn expression_json(&self, root: Id) -> Value {
        let (mut graph, position) = self.graph(EXPRESSION, &[root]);
        graph.root = Some(position[&root]);
        json!(graph)
    }

    pub(crate) fn module_json(&self, module: &Module, roots: &Roots) -> Value {
        json!(self.module_graph(module, roots))
    }

    fn module_graph(&self, module: &Module, roots: &Roots) -> Graph {
        let (mut graph, position) = self.graph(MODULE, &roots.all());
        let constraints = module.constraints.iter().zip(&roots.constraints);
        graph.module = Some(ModulePart {
            name: module.name.clone(),
            doc: module.doc.clone(),
            objective: position[&roots.objective],
            objective_name: module.objective_name.clone(),
            variables: roots.variables.iter().map(|id| position[id]).collect(),
            constraints: constraints
                .map(|(constraint, holds)| ConstraintPart {
                    name: constraint.name.clone(),
                    doc: constraint.doc.clone(),
                    holds: position[holds],
                })
                .collect(),
            values: module.values.clone(),
        });
        graph
    }

    /// The module with narrower domains, as a document.
    fn narrowed(
        &self,
        (module, roots): (&Module, &Roots),
        ranges: &[(&str, f64, f64)],
    ) -> Result<Value, ExprError> {
        let mut graph = self.module_graph(module, roots);
        for (name, lo, hi) in ranges {
            let Some(symbol) = graph.symbols.iter_mut().find(|symbol| symbol.name == *name) else {
                let known = graph.symbols.iter().map(|symbol| symbol.name.as_str());
                let hint = Nearest::to(name, known);
                return Err(ExprError::UnknownSymbol { name: (*name).to_owned(), hint });
            };
            let (least, most) = symbol.range();
            let (lo, hi) = (f64::max(*lo, least), f64::min(*hi, most));
            if lo > hi {
                return Err(ExprError::EmptyRange { lo, hi });
            }
            symbol.domain = Some((lo, hi));
        }
        Ok(json!(graph))
    }

    /// The graph below `roots` with symbols, indices and nodes numbered afresh.
    fn graph(&self, format: &str, roots: &[Id]) -> (Graph, HashMap<Id, Id>) {
        let order = self.reachable(roots);
        let mut graph = Graph {
            format: format.to_owned(),
            version: VERSION,
            symbols: Vec::new(),
            indices: Vec::new(),
            unknowns: Vec::new(),
            tables: Vec::new(),
            nodes: Vec::new(),
            names: Vec::new(),
            root: None,
            module: None,
        };
        let mut position: HashMap<Id, Id> = HashMap::default();
        let mut indices: HashMap<u32, u32> = HashMap::default();
        let mut tables: HashMap<u32, u32> = HashMap::default();
        let mut symbols: Vec<u32> = Vec::new();
        for id in &order {
            if let Node::Symbol(at) = self.node(*id) {
                symbols.push(*at);
            }
        }
        symbols.sort_unstable();
        graph.symbols = symbols.iter().map(|at| self.symbols[*at as usize].clone()).collect();
        for id in order {
            let mut index = |at: u32| {
                *indices.entry(at).or_insert_with(|| {
                    graph.indices.push(self.indices[at as usize].clone());
                    let new = to_u32(graph.indices.len() - 1);
                    if self.is_unknown(at) {
                        graph.unknowns.push(new);
                    }
                    new
                })
            };
            let mut node = self.shape(id).map(|child| position[&child], |number| *number);
            match &mut node {
                Node::Symbol(at) => {
                    *at = to_u32(symbols.binary_search(at).expect("collected above"));
                }
                Node::Index(at)
                | Node::Sum { index: at, .. }
                | Node::FixedPoint { index: at, .. } => *at = index(*at),
                Node::Table { table, .. } => {
                    *table = *tables.entry(*table).or_insert_with_key(|table| {
                        graph.tables.push(self.tables[*table as usize].to_vec());
                        to_u32(graph.tables.len() - 1)
                    });
                }
                _ => {}
            }
            let here = Id(to_u32(graph.nodes.len()));
            graph.nodes.push(node);
            position.insert(id, here);
            if let Some(Label { name, unit, doc }) = self.label(id).cloned() {
                graph.names.push(Name { node: here, name, unit, doc });
            }
        }
        (graph, position)
    }
}

impl Module {
    /// The same module with narrower domains, each `(name, least, most)`, in a context of its own.
    ///
    /// Solvers need finite ranges of what they decide.
    ///
    /// ```
    /// # use sglsim_expr::{Context, Module, Sense, Symbol, max};
    /// # let cx = Context::new();
    /// let workers = cx.symbol(Symbol::int("workers").at_least(1.0))?;
    /// let cost = max(10 - &workers, &workers * 2 - 8);
    /// let module = Module::new("pool", "cost", cost).variable(&workers);
    /// assert!(module.to_nl(Sense::Maximise).is_err());
    /// assert!(module.within(&[("workers", 1.0, 64.0)])?.to_nl(Sense::Maximise).is_ok());
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::UnknownSymbol`], [`ExprError::EmptyRange`] if nothing of the domain is inside, or
    /// what makes an expression invalid.
    pub fn within(&self, ranges: &[(&str, f64, f64)]) -> Result<Module, ExprError> {
        let (cx, roots) = self.roots()?;
        let document = cx.lock().narrowed((self, &roots), ranges)?;
        Module::from_json(&Context::new(), &document)
    }
}

pub(crate) fn read_expression(cx: &Context, document: &Value) -> Result<Expr, ExprError> {
    let graph = parse(document, EXPRESSION)?;
    let ids = rebuild(cx, &graph)?;
    let root = graph.root.ok_or_else(|| wrong("root", "it is missing"))?;
    Ok(cx.expr(at(&ids, root.0, "root")?))
}

pub(crate) fn read_module(cx: &Context, document: &Value) -> Result<Module, ExprError> {
    let graph = parse(document, MODULE)?;
    let ids = rebuild(cx, &graph)?;
    let module = graph.module.ok_or_else(|| wrong("module", "it is missing"))?;
    let expr = |id: Id, path: &str| Ok(cx.expr(at(&ids, id.0, path)?));
    let mut read = Module::new(
        module.name,
        module.objective_name,
        expr(module.objective, "module.objective")?,
    );
    read.doc = module.doc;
    read.values = module.values;
    for id in module.variables {
        read.variables.push(expr(id, "module.variables")?);
    }
    for constraint in module.constraints {
        let holds = expr(constraint.holds, "module.constraints")?;
        read.constraints.push(Constraint::new(constraint.name, holds, constraint.doc));
    }
    Ok(read)
}

fn parse(document: &Value, format: &str) -> Result<Graph, ExprError> {
    for (field, wanted) in [("format", json!(format)), ("version", json!(VERSION))] {
        let found = document.get(field).unwrap_or(&Value::Null);
        if *found != wanted {
            return Err(wrong(field, &format!("it is {found}, allowed is {wanted}")));
        }
    }
    Graph::deserialize(document).map_err(|error| wrong("document", &error.to_string()))
}

/// Adds the nodes in order, each from earlier ones, and brings them into normal form.
fn rebuild(cx: &Context, graph: &Graph) -> Result<Vec<Id>, ExprError> {
    let mut arena = cx.lock();
    let mut symbols = Vec::with_capacity(graph.symbols.len());
    for symbol in &graph.symbols {
        symbols.push(arena.register(symbol.clone())?);
    }
    let indices: Vec<u32> = graph.indices.iter().map(|name| arena.register_index(name)).collect();
    for unknown in &graph.unknowns {
        arena.mark_unknown(at(&indices, *unknown, "unknowns")?);
    }
    let tables: Vec<u32> = graph.tables.iter().map(|values| arena.register_table(values)).collect();
    let names: HashMap<Id, &Name> = graph.names.iter().map(|name| (name.node, name)).collect();
    // All as they are first: normalising adds nodes on its way, and the order of ids is the order of
    // evaluation, which a document keeps to the last bit.
    let mut raw: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    for (position, node) in graph.nodes.iter().enumerate() {
        let path = format!("nodes[{position}]");
        check(node, position, &path)?;
        let mut node = node.map(|child| raw[child.index()], |number| *number);
        match &mut node {
            Node::Symbol(s) => *s = at(&symbols, *s, &path)?,
            Node::FixedPoint { index, .. } if !graph.unknowns.contains(index) => {
                return Err(wrong(&path, "its index is not an unknown"));
            }
            Node::Sum { index, .. } if graph.unknowns.contains(index) => {
                return Err(wrong(&path, "its index is an unknown"));
            }
            Node::Index(i) | Node::Sum { index: i, .. } | Node::FixedPoint { index: i, .. } => {
                *i = at(&indices, *i, &path)?;
            }
            Node::Table { table, .. } => *table = at(&tables, *table, &path)?,
            _ => {}
        }
        let new = arena.intern(&node);
        // At once: a named part is not merged into what is built on it.
        if let Some(Name { name, unit, doc, .. }) = names.get(&Id(to_u32(position))) {
            let label = Label { name: name.clone(), unit: unit.clone(), doc: doc.clone() };
            arena.settle(new, unit)?;
            arena.set_label(new, label);
        }
        raw.push(new);
    }
    let mut done: HashMap<Id, Id> = HashMap::default();
    for (position, id) in raw.iter().enumerate() {
        let shape = arena.shape(*id).map(|child| done[&child], |number| *number);
        let new = arena.build(shape);
        if let Some(error) = arena.error(new) {
            return Err(wrong(&format!("nodes[{position}]"), &error.to_string()));
        }
        arena.inherit(new, *id);
        done.insert(*id, new);
    }
    Ok(raw.iter().map(|id| done[id]).collect())
}

fn check(node: &Node<Number>, position: usize, path: &str) -> Result<(), ExprError> {
    let mut ahead = false;
    node.for_each_child(|child| ahead |= child.index() >= position);
    let empty = match node {
        Node::Max(list) | Node::Min(list) => list.is_empty(),
        _ => false,
    };
    if ahead {
        Err(wrong(path, "an operand is not an earlier node"))
    } else if empty {
        Err(wrong(path, "it has no operands"))
    } else if matches!(node, Node::Invalid(_)) {
        Err(wrong(path, "it is an invalid expression"))
    } else {
        Ok(())
    }
}

fn at<T: Copy>(items: &[T], position: u32, path: &str) -> Result<T, ExprError> {
    items.get(position as usize).copied().ok_or_else(|| {
        wrong(path, &format!("number {position} is beyond the last of {}", items.len()))
    })
}

fn wrong(path: &str, problem: &str) -> ExprError {
    ExprError::Format { path: path.to_owned(), problem: problem.to_owned() }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("a document has fewer than 2^32 parts")
}
