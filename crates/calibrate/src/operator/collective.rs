//! What ranks send each other.

use sglsim_expr::Expr;
use sglsim_kernels::operator::collective::{
    AllGather, AllReduce, AllToAll, Eager, NcclPairs, NcclRing, NcclSwitch, PairExchange,
    ReduceScatter, SendReceive,
};
use sglsim_kernels::operator::{Fastest, OperatorLaw};

use super::{Argument, Call, Operator, count, data, size, word};

const BYTES: Argument = data("bytes", "size of the result [B]");
const GROUP: Argument = count("ranks", "ranks that take part [1]");
const DTYPE: Argument = word("dtype", "'bf16'", "number format");

macro_rules! collective {
    ($constant:ident, $name:literal, $doc:literal, $law:expr) => {
        pub(super) const $constant: Operator = Operator {
            name: $name,
            doc: $doc,
            arguments: &[BYTES, GROUP, DTYPE],
            shapes: &[&["bytes"]],
            law: $law,
        };
    };
}

collective!(ALL_REDUCE, "all_reduce", "SGLang's choice of all-reduce", |call| {
    Ok(call.laws.all_reduce.time(&all_reduce(call), call.on))
});
collective!(
    EAGER_ALL_REDUCE,
    "eager_all_reduce",
    "SGLang's choice of all-reduce, launched outside of a CUDA graph",
    |call| Ok(Eager(&*call.laws.all_reduce).time(&all_reduce(call), call.on))
);
collective!(NCCL_ALL_REDUCE, "nccl_all_reduce", "NCCL's all-reduce", |call| {
    let it = all_reduce(call);
    // The switch adds floats, not integers.
    if call.word("dtype").starts_with("int") {
        return Ok(NcclRing.time(&it, call.on));
    }
    Ok(Fastest::or_else(NcclRing).with(NcclSwitch).time(&it, call.on))
});
collective!(PAIR_EXCHANGE, "nccl_all_to_all", "NCCL's exchange between all pairs", |call| {
    let it =
        PairExchange { rows: rows(call), bytes_per_row: call.byte(), group: call.count("ranks") };
    Ok(NcclPairs.time(&it, call.on))
});
collective!(
    ALL_GATHER,
    "all_gather",
    "all-gather; the result is what a rank has in the end",
    |call| {
        let it =
            AllGather { rows: rows(call), bytes_per_row: call.byte(), group: call.count("ranks") };
        Ok(call.laws.all_gather.time(&it, call.on))
    }
);
collective!(
    REDUCE_SCATTER,
    "reduce_scatter",
    "reduce-scatter; the result is all that is reduced",
    |call| {
        let it = ReduceScatter {
            rows: rows(call),
            bytes_per_row: call.byte(),
            group: call.count("ranks"),
        };
        Ok(call.laws.reduce_scatter.time(&it, call.on))
    }
);

fn all_reduce(call: &Call<'_>) -> AllReduce {
    AllReduce { rows: rows(call), bytes_per_row: call.byte(), group: call.count("ranks") }
}

fn rows(call: &Call<'_>) -> Expr {
    call.count("bytes")
}

pub(super) const SEND: Operator = Operator {
    name: "send",
    doc: "one rank sends to another",
    arguments: &[
        data("bytes", "what is sent [B]"),
        word("across", "'inside'", "where the other rank is: inside the node, or across nodes"),
        DTYPE,
    ],
    shapes: &[&["bytes"]],
    law: send,
};

fn send(call: &Call<'_>) -> Result<Expr, String> {
    let across_nodes = match call.word("across") {
        "inside" => false,
        "across" => true,
        other => return Err(format!("no law for sending {other}")),
    };
    let it = SendReceive {
        rows: rows(call),
        bytes_per_row: call.byte(),
        across_nodes: call.on.sm_count.context().truth(across_nodes),
    };
    Ok(NcclPairs.time(&it, call.on))
}

pub(super) const EXPERT_EXCHANGE: Operator = Operator {
    name: "expert_exchange",
    doc: "dispatch or combine of tokens to the ranks of their experts (DeepEP)",
    arguments: &[
        count("tokens", "tokens of this rank [token]"),
        count("ranks", "ranks over which the experts are spread [1]"),
        size("hidden_size", "width of a token [1]"),
        size("top_k", "experts per token [1]"),
        size("num_experts", "experts of the layer [1]"),
        word("mode", "'low_latency'", "kernels: low_latency or normal"),
        word("direction", "'dispatch'", "dispatch or combine"),
    ],
    shapes: &[&["hidden_size", "top_k"], &["tokens"]],
    law: expert_exchange,
};

fn expert_exchange(call: &Call<'_>) -> Result<Expr, String> {
    let hidden = call.size("hidden_size")?;
    let bytes = match call.word("direction") {
        // fp8 with a scale of four bytes per 128 values; 16 bits back.
        "dispatch" => hidden + hidden.div_ceil(128) * 4,
        "combine" => 2 * hidden,
        other => return Err(format!("no law for the direction {other}")),
    };
    let low_latency = match call.word("mode") {
        "low_latency" => true,
        "normal" => false,
        other => return Err(format!("no law for the mode {other}")),
    };
    let it = AllToAll {
        rows: call.count("tokens"),
        bytes_per_row: call.byte() * bytes,
        num_experts: call.size("num_experts")?,
        top_k: call.size("top_k")?,
        group: call.count("ranks"),
        combine: call.word("direction") == "combine",
        low_latency: call.on.sm_count.context().truth(low_latency),
    };
    Ok(call.laws.all_to_all.time(&it, call.on))
}
