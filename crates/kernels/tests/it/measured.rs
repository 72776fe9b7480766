//! Plausibility against measured operators of an H100 SXM. Nothing is fitted here: these are the
//! default coefficients, and the bounds only catch a law that is wrong in kind.
//!
//! Data: per-operator timings of SGLang 0.5.14 from NVIDIA's `aiconfigurator-core` 0.12.0 (Apache-2.0).

use std::fs::File;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use sglsim_expr::{Context, Expr, Symbol, Values};
use sglsim_hw::Precision;
use sglsim_kernels::operator::attention::{
    DecodeAttention, FlashDecode, FlashPrefill, PrefillAttention,
};
use sglsim_kernels::operator::gemm::{Gemm, TiledRoofline};
use sglsim_kernels::operator::{MatrixFormat, OperatorLaw};
use sglsim_kernels::{Coefficients, Hardware};

use crate::scenario::topology;

/// One table of measurements.
pub(crate) struct Table {
    columns: csv::StringRecord,
    pub(crate) rows: Vec<csv::StringRecord>,
}

/// The table, or nothing and a remark if there is no data.
pub(crate) fn table(path: &str) -> Option<Table> {
    let Some(data) = std::env::var_os("SGLSIM_DATA") else {
        println!("skipped: SGLSIM_DATA is not set");
        return None;
    };
    let path = PathBuf::from(data).join("aiconfigurator/h100_sxm").join(path);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
    let columns = reader.headers().unwrap().clone();
    Some(Table { columns, rows: reader.records().map(Result::unwrap).collect() })
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column == name).unwrap()
    }

    /// Keeps the rows in which the columns have these values.
    pub(crate) fn only(mut self, wanted: &[(&str, &str)]) -> Self {
        for (name, value) in wanted {
            let at = self.column(name);
            self.rows.retain(|row| &row[at] == *value);
        }
        self
    }

    /// The same columns with other rows.
    pub(crate) fn with(&self, rows: Vec<csv::StringRecord>) -> Self {
        Self { columns: self.columns.clone(), rows }
    }

    /// The columns' numbers, and the latency in seconds.
    pub(crate) fn numbers(&self, names: &[&str]) -> Vec<(Vec<f64>, f64)> {
        self.timed(names, &["latency"], 1e-3)
    }

    /// The columns' numbers, and the sum of the times in seconds.
    pub(crate) fn timed(&self, names: &[&str], times: &[&str], unit: f64) -> Vec<(Vec<f64>, f64)> {
        let columns =
            |names: &[&str]| -> Vec<usize> { names.iter().map(|name| self.column(name)).collect() };
        let (at, times) = (columns(names), columns(times));
        let number = |row: &csv::StringRecord, at: &usize| row[*at].parse::<f64>().unwrap();
        self.rows
            .iter()
            .map(|row| {
                let seconds: f64 = times.iter().map(|at| number(row, at) * unit).sum();
                (at.iter().map(|at| number(row, at)).collect(), seconds)
            })
            .collect()
    }
}

/// An H100, its symbols, and integer symbols for the columns of a table.
pub(crate) struct Bench {
    pub(crate) on: Hardware,
    values: Values,
    pub(crate) symbols: Vec<Expr>,
}

impl Bench {
    pub(crate) fn new(names: &[&str]) -> Self {
        let cx = Context::new();
        let topology = topology("H100");
        let theta = Coefficients::for_architecture(topology.gpu().architecture);
        let (on, values) = Hardware::of(&cx, "", &topology, &theta).unwrap();
        let symbol = |name: &&str| cx.symbol(Symbol::int(*name).positive()).unwrap();
        Self { on, values, symbols: names.iter().map(symbol).collect() }
    }

    pub(crate) fn constant(&self, value: u32) -> Expr {
        self.on.sm_count.context().constant(value)
    }

    /// Absolute relative error of `law` at every row of the table.
    pub(crate) fn all_errors(
        &self,
        names: &[&str],
        law: &Expr,
        measured: &[(Vec<f64>, f64)],
    ) -> Vec<f64> {
        let mut law = law.bind(&self.values).compile(names).unwrap().evaluator();
        measured.iter().map(|(inputs, seconds)| (law.eval1(inputs) / seconds - 1.0).abs()).collect()
    }

    /// Median and 90th percentile of the absolute relative error of `law` over the table.
    pub(crate) fn errors(
        &self,
        names: &[&str],
        law: &Expr,
        measured: &[(Vec<f64>, f64)],
    ) -> (f64, f64) {
        let mut errors = self.all_errors(names, law, measured);
        errors.sort_by(f64::total_cmp);
        assert!(errors.len() > 20, "only {} rows", errors.len());
        (errors[errors.len() / 2], errors[errors.len() * 9 / 10])
    }

    #[track_caller]
    pub(crate) fn check(
        &self,
        what: &str,
        names: &[&str],
        law: &Expr,
        table: &Table,
        allowed: f64,
    ) {
        let measured = table.numbers(names);
        let (median, p90) = self.errors(names, law, &measured);
        println!(
            "{what}: median error {:.1} %, 90th percentile {:.1} %, {} rows",
            median * 100.0,
            p90 * 100.0,
            measured.len()
        );
        assert!(median < allowed, "{what}: median error {median:.3}, allowed {allowed}");
    }
}

#[test]
fn gemm() {
    let names = ["m", "n", "k"];
    for (dtype, format, bytes, allowed) in [
        ("bfloat16", MatrixFormat::Bf16, 2.0, 0.06),
        ("fp8", MatrixFormat::Fp8, 1.0, 0.09),
        ("fp8_block", MatrixFormat::Fp8Block, 1.0, 0.1),
    ] {
        let Some(table) = table("gemm/gemm_perf__sglang-0.5.14.csv.gz") else { return };
        let bench = Bench::new(&names);
        let [m, n, k] = [0, 1, 2].map(|at| bench.symbols[at].clone());
        let call = Gemm { m, n, k, format, bytes_per_weight: bytes, bytes_per_input: bytes };
        let law = TiledRoofline.time(&call, &bench.on);
        bench.check(
            &format!("{dtype} GEMM"),
            &names,
            &law,
            &table.only(&[("gemm_dtype", dtype)]),
            allowed,
        );
    }
}

const FA3: [(&str, &str); 2] = [("kernel_source", "fa3"), ("window_size", "0")];

/// KV cache formats: name in the tables, format, bytes.
const KV: [(&str, Precision, u32); 2] =
    [("bfloat16", Precision::Bf16, 2), ("fp8", Precision::Fp8, 1)];

#[test]
fn prefill_attention() {
    let names = ["batch_size", "isl", "num_heads", "num_key_value_heads"];
    for head_dim in [64, 128, 256] {
        let Some(table) = table("attention/context_attention_perf__sglang-0.5.14.csv.gz") else {
            return;
        };
        let bench = Bench::new(&names);
        let [batch, length, heads, kv_heads] = [0, 1, 2, 3].map(|at| bench.symbols[at].clone());
        let tokens = &batch * &length;
        let call = PrefillAttention {
            pairs: &tokens * (&length + 1) / 2,
            tokens,
            prefix: bench.constant(0),
            seqs: batch,
            heads,
            kv_bytes_per_token: &kv_heads * (4 * head_dim),
            kv_heads,
            head_dims: (head_dim, head_dim),
            kv_precision: Precision::Bf16,
            latent: false,
            window: None,
            hybrid: false,
        };
        let law = FlashPrefill.time(&call, &bench.on);
        let head_dim_text = head_dim.to_string();
        let table =
            table.only(&FA3).only(&[("kv_cache_dtype", "bfloat16"), ("head_dim", &head_dim_text)]);
        bench.check(&format!("prefill attention {head_dim}"), &names, &law, &table, 0.08);
    }
}

#[test]
fn decode_attention() {
    let names = ["batch_size", "isl", "step", "num_heads", "num_key_value_heads"];
    for ((dtype, kv_precision, bytes), head_dim) in
        KV.into_iter().flat_map(|kv| [64, 128, 256].map(|head_dim| (kv, head_dim)))
    {
        let Some(table) = table("attention/generation_attention_perf__sglang-0.5.14.csv.gz") else {
            return;
        };
        let bench = Bench::new(&names);
        let [batch, length, step, heads, kv_heads] =
            [0, 1, 2, 3, 4].map(|at| bench.symbols[at].clone());
        let call = DecodeAttention {
            context: &batch * (length + step),
            query_tokens: bench.constant(1),
            seqs: batch,
            heads,
            kv_bytes_per_token: &kv_heads * (2 * bytes * head_dim),
            kv_heads,
            head_dims: (head_dim, head_dim),
            kv_precision,
            latent: false,
            repeated: true,
        };
        let law = FlashDecode.time(&call, &bench.on);
        let head_dim_text = head_dim.to_string();
        let table =
            table.only(&FA3).only(&[("kv_cache_dtype", dtype), ("head_dim", &head_dim_text)]);
        let what = format!("decode attention {head_dim}, {dtype} cache");
        bench.check(&what, &names, &law, &table, 0.08);
    }
}

#[test]
fn latent_decode_attention() {
    let names = ["batch_size", "isl", "step", "num_heads"];
    for (dtype, kv_precision, bytes) in KV {
        let Some(table) = table("mla/generation_mla_perf__sglang-0.5.14.csv.gz") else { return };
        let bench = Bench::new(&names);
        let [batch, length, step, heads] = [0, 1, 2, 3].map(|at| bench.symbols[at].clone());
        let call = DecodeAttention {
            context: &batch * (length + step),
            query_tokens: bench.constant(1),
            seqs: batch,
            heads,
            kv_heads: bench.constant(1),
            head_dims: (576, 512),
            kv_bytes_per_token: bench.constant(576 * bytes),
            kv_precision,
            latent: true,
            repeated: true,
        };
        let law = FlashDecode.time(&call, &bench.on);
        let what = format!("MLA decode attention, {dtype} cache");
        let table = table.only(&[("kv_cache_dtype", dtype)]);
        bench.check(&what, &names, &law, &table, 0.05);
    }
}

#[test]
fn latent_prefill_attention() {
    let names = ["batch_size", "isl", "num_heads"];
    for (dtype, kv_precision, bytes) in KV {
        let Some(table) = table("mla/context_mla_perf__sglang-0.5.14.csv.gz") else { return };
        let bench = Bench::new(&names);
        let [batch, length, heads] = [0, 1, 2].map(|at| bench.symbols[at].clone());
        let tokens = &batch * &length;
        let call = PrefillAttention {
            pairs: &tokens * (&length + 1) / 2,
            tokens,
            prefix: bench.constant(0),
            seqs: batch,
            heads,
            kv_heads: bench.constant(1),
            head_dims: (576, 512),
            kv_bytes_per_token: bench.constant(576 * bytes),
            kv_precision,
            latent: true,
            window: None,
            hybrid: false,
        };
        let law = FlashPrefill.time(&call, &bench.on);
        let what = format!("MLA prefill attention, {dtype} cache");
        let table = table.only(&[("kv_cache_dtype", dtype)]);
        bench.check(&what, &names, &law, &table, 0.06);
    }
}
