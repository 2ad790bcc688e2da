"""The evaluation kernel: runs a decoded program on a group of task lanes, training and validation, for one shape.

One kernel is compiled for each (features, lanes); it takes the address of a context (``engine/core/context.py``). The
interpreter inside it is a loop over instructions with one jump into the op's body, written straight in LLVM's language
so that memory accesses are whole vectors and no alias check stands between them.
"""

from __future__ import annotations

import math
from functools import cache

from llvmlite import ir
from numba import cfunc, types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.core import context as at
from engine.core import endings, vector_math
from engine.core.lanes import BITS, DOUBLE, I64, MASK, POINTER, VECTOR, WIDTH, Lanes
from engine.core.op_bodies import BODIES, Extra

TWO_OVER_PI = 0.63661977236758138243
POSITIVE_LOGIT = 1.6653345369377348e-16
"""Largest logit whose sigmoid, as float64 computes it, does not exceed one half (tests/engine/test_core.py)."""


# memory by address ------------------------------------------------------------------------------------------------


@intrinsic
def load_word(typing_context, address):
    """Return the int64 at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], POINTER), typ=I64)

    return types.int64(types.int64), generate


@intrinsic
def store_word(typing_context, address, value):
    """Store an int64 at an address."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], POINTER))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def load_double(typing_context, address):
    """Return the float64 at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], POINTER), typ=DOUBLE)

    return types.float64(types.int64), generate


@intrinsic
def store_double(typing_context, address, value):
    """Store a float64 at an address."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], POINTER))
        return context.get_dummy_value()

    return types.void(types.int64, types.float64), generate


@intrinsic
def zero_words(typing_context, address, count):
    """Zero `count` words from an address on."""

    def generate(context, builder, signature, arguments):
        size = builder.mul(arguments[1], ir.Constant(I64, 8))
        cgutils.memset(builder, builder.inttoptr(arguments[0], POINTER), size, 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def copy_words(typing_context, target, source, count):
    """Copy `count` words from one address to another."""

    def generate(context, builder, signature, arguments):
        size = builder.mul(arguments[2], ir.Constant(I64, 8))
        cgutils.raw_memcpy(builder, *(builder.inttoptr(one, POINTER) for one in arguments[:2]), size, 1, align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


# the interpreter --------------------------------------------------------------------------------------------------


def _interpreter(module: ir.Module, features: int, lane_count: int) -> ir.Function:
    """Return (emitting it the first time) void run(code, count, scratch, random)."""
    name = f"abovo_interpreter_{features}_{lane_count}"
    if name in module.globals:
        return module.globals[name]
    function_type = ir.FunctionType(ir.VoidType(), [POINTER, I64, POINTER, POINTER])
    function = ir.Function(module, function_type, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    code, count, scratch, random = function.args
    entry, loop, done = (function.append_basic_block(name) for name in ("entry", "loop", "done"))
    after = function.append_basic_block("next")
    builder = ir.IRBuilder(entry)
    size = ir.Constant(I64, at.INSTRUCTION_WORDS)
    end = builder.gep(code, [builder.mul(count, size)], source_etype=I64)
    builder.cbranch(builder.icmp_signed(">", count, ir.Constant(I64, 0)), loop, done)

    builder.position_at_end(loop)
    here = builder.phi(POINTER)
    here.add_incoming(code, entry)
    words = [
        builder.load(builder.gep(here, [ir.Constant(I64, word)], source_etype=I64), typ=I64)
        for word in (at.OP, at.IN1, at.IN2, at.OUT, at.IN3)
    ]
    a, b, out, third = (builder.inttoptr(word, POINTER) for word in words[1:])
    constants = builder.gep(here, [ir.Constant(I64, at.CONSTANTS)], source_etype=I64)

    def dispatch(low: int, high: int) -> None:
        """Emit the choice among ops low to high - 1 as a balanced tree of branches.

        Not a jump table: conditional branches are predicted well everywhere, indirect jumps are not (some virtual
        machines predict hardly any), and a program repeats the same few ops for thousands of steps.
        """
        if high - low == 1:
            BODIES[low](Lanes(builder, features, lane_count), a, b, out, Extra(constants, scratch, random, third))
            builder.branch(after)
            return
        middle = (low + high) // 2
        below, above = (function.append_basic_block(f"ops_{start}") for start in (low, middle))
        builder.cbranch(builder.icmp_signed("<", words[0], ir.Constant(I64, middle)), below, above)
        for block, part in ((below, (low, middle)), (above, (middle, high))):
            builder.position_at_end(block)
            dispatch(*part)

    dispatch(0, len(BODIES))

    builder.position_at_end(after)
    following = builder.gep(here, [size], source_etype=I64)
    here.add_incoming(following, after)
    builder.cbranch(builder.icmp_unsigned("==", following, end), done, loop)
    builder.position_at_end(done)
    builder.ret_void()
    return function


def _literal(value) -> int:
    return value.literal_value


@intrinsic(prefer_literal=True)
def interpret(typing_context, features, lanes, code, count, scratch, random):
    """Run `count` instructions at address `code`; features and lanes are compile-time constants."""
    shape = _literal(features), _literal(lanes)
    signature = types.void(features, lanes, types.int64, types.int64, types.int64, types.int64)

    def generate(context, builder, signature, arguments):
        code, count, scratch, random = arguments[2:]
        pointers = [builder.inttoptr(one, POINTER) for one in (code, scratch, random)]
        function = _interpreter(builder.module, *shape)
        builder.call(function, [pointers[0], count, pointers[1], pointers[2]])
        return context.get_dummy_value()

    return signature, generate


# what follows Predict ---------------------------------------------------------------------------------------------


def _mix_errors(lanes: Lanes, hashes, values: list) -> None:
    """Mix a vector of errors for each chunk into the lanes' hashes, if `hashes` is not the null address."""
    builder = lanes.builder
    with builder.if_then(builder.icmp_unsigned("!=", hashes, ir.Constant(I64, 0))):
        pointer = builder.inttoptr(hashes, POINTER)
        for chunk, value in enumerate(values):
            mixed = builder.xor(lanes.load(pointer, chunk, BITS), lanes.to_bits(value))
            mixed = builder.mul(mixed, lanes.splat_bits(0xD6E8FEB86659FD93))
            lanes.store(builder.xor(mixed, builder.lshr(mixed, lanes.splat_bits(32))), pointer, chunk)


def _any_alive(lanes: Lanes, masks: list):
    together = masks[0]
    for mask in masks[1:]:
        together = lanes.builder.or_(together, mask)
    return lanes.builder.zext(lanes.any(lanes.builder.trunc(together, MASK)), I64)


@intrinsic(prefer_literal=True)
def after_training_predict(
    typing_context, features, lanes, prediction, label, alive, steps, hashes, max_abs_error, is_accuracy
):
    """Normalise s1, count the step, and end the lanes whose |label - s1| is NaN or too large; return whether any is left."""
    shape = _literal(features), _literal(lanes)
    word = types.int64
    signature = types.int64(features, lanes, word, word, word, word, word, types.float64, word)

    def generate(context, builder, signature, arguments):
        prediction, label, alive, steps, hashes, limit, is_accuracy = arguments[2:]
        lanes = Lanes(builder, *shape)
        prediction, label, alive, steps = (builder.inttoptr(x, POINTER) for x in (prediction, label, alive, steps))
        with builder.if_then(builder.icmp_signed("!=", is_accuracy, ir.Constant(I64, 0))):
            for chunk in range(lanes.chunks):
                lanes.store(vector_math.sigmoid(lanes, lanes.load(prediction, chunk)), prediction, chunk)
        limit = lanes.splat(limit)
        masks, seen = [], []
        for chunk in range(lanes.chunks):
            difference = builder.fsub(lanes.load(label, chunk), lanes.load(prediction, chunk))
            error = lanes.intrinsic("fabs", difference)
            before = lanes.load(alive, chunk, BITS)
            lanes.store(builder.sub(lanes.load(steps, chunk, BITS), before), steps, chunk)
            good = builder.fcmp_ordered("<=", error, limit)
            now = builder.and_(before, builder.sext(good, BITS))
            lanes.store(now, alive, chunk)
            masks.append(now)
            seen.append(builder.select(builder.trunc(now, MASK), error, lanes.splat(at.FAILED_ERROR)))
        _mix_errors(lanes, hashes, seen)
        return _any_alive(lanes, masks)

    return signature, generate


@intrinsic(prefer_literal=True)
def after_validation_predict(
    typing_context, features, lanes, prediction, label, alive, totals, hashes, max_abs_error, is_accuracy
):
    """Add the example's squared error, or 1 if it is misclassified, to each lane's total; return whether any lane is left.

    For squared errors a lane ends here when |error| is NaN or too large.
    """
    shape = _literal(features), _literal(lanes)
    word = types.int64
    signature = types.int64(features, lanes, word, word, word, word, word, types.float64, word)

    def generate(context, builder, signature, arguments):
        prediction, label, alive, totals, hashes, limit, is_accuracy = arguments[2:]
        lanes = Lanes(builder, *shape)
        prediction, label, alive, totals = (builder.inttoptr(x, POINTER) for x in (prediction, label, alive, totals))
        limit = lanes.splat(limit)
        any_left = cgutils.alloca_once(builder, I64)
        accuracy = builder.icmp_signed("!=", is_accuracy, ir.Constant(I64, 0))
        with builder.if_else(accuracy) as (classes, numbers):
            with classes:
                masks, seen = [], []
                for chunk in range(lanes.chunks):
                    said = builder.fcmp_ordered(">", lanes.load(prediction, chunk), lanes.splat(POSITIVE_LOGIT))
                    truth = builder.fcmp_ordered(">", lanes.load(label, chunk), lanes.splat(0.5))
                    wrong = builder.uitofp(builder.xor(said, truth), VECTOR)
                    lanes.store(builder.fadd(lanes.load(totals, chunk), wrong), totals, chunk)
                    now = lanes.load(alive, chunk, BITS)
                    masks.append(now)
                    seen.append(builder.select(builder.trunc(now, MASK), wrong, lanes.splat(at.FAILED_ERROR)))
                _mix_errors(lanes, hashes, seen)
                builder.store(_any_alive(lanes, masks), any_left)
            with numbers:
                masks, seen = [], []
                for chunk in range(lanes.chunks):
                    error = builder.fsub(lanes.load(label, chunk), lanes.load(prediction, chunk))
                    square = builder.fmul(error, error)
                    lanes.store(builder.fadd(lanes.load(totals, chunk), square), totals, chunk)
                    size = lanes.intrinsic("fabs", error)
                    good = builder.fcmp_ordered("<=", size, limit)
                    now = builder.and_(lanes.load(alive, chunk, BITS), builder.sext(good, BITS))
                    lanes.store(now, alive, chunk)
                    masks.append(now)
                    seen.append(builder.select(builder.trunc(now, MASK), size, lanes.splat(at.FAILED_ERROR)))
                _mix_errors(lanes, hashes, seen)
                builder.store(_any_alive(lanes, masks), any_left)
        return builder.load(any_left, typ=I64)

    return signature, generate


@intrinsic(prefer_literal=True)
def after_training_classes(
    typing_context, features, lanes, prediction, label, alive, steps, hashes, max_abs_error, classes
):
    """Do as after_training_predict, for vector labels: the first `classes` elements of the prediction become their softmax.

    The others become 0. The largest exponent is subtracted first, so that only NaN and infinite scores fail.
    """
    shape = _literal(features), _literal(lanes)
    word = types.int64
    signature = types.int64(features, lanes, word, word, word, word, word, types.float64, word)

    def generate(context, builder, signature, arguments):
        prediction, label, alive, steps, hashes, limit, classes = arguments[2:]
        lanes = Lanes(builder, *shape)
        prediction, label, alive, steps = (builder.inttoptr(x, POINTER) for x in (prediction, label, alive, steps))
        good = endings.softmax(lanes, prediction, label, lanes.splat(limit), classes)
        masks = []
        for chunk in range(lanes.chunks):
            before = lanes.load(alive, chunk, BITS)
            lanes.store(builder.sub(lanes.load(steps, chunk, BITS), before), steps, chunk)
            now = builder.and_(before, builder.sext(good[chunk], BITS))
            lanes.store(now, alive, chunk)
            masks.append(now)
        hashed = builder.icmp_unsigned("!=", hashes, ir.Constant(I64, 0))
        failed = lanes.splat(at.FAILED_ERROR)
        with builder.if_then(hashed), endings.class_errors(lanes, prediction, label, classes) as errors:
            alive_now = [builder.trunc(mask, MASK) for mask in masks]
            seen = [builder.select(good, error, failed) for good, error in zip(alive_now, errors)]
            _mix_errors(lanes, hashes, seen)
        endings.zero_beyond(lanes, prediction, classes)
        return _any_alive(lanes, masks)

    return signature, generate


@intrinsic(prefer_literal=True)
def after_validation_classes(typing_context, features, lanes, prediction, label, alive, totals, hashes, classes):
    """Do as after_validation_predict, for vector labels: an example is misclassified if not its class scores highest.

    Of equals the first counts; a comparison with NaN is false.
    """
    shape = _literal(features), _literal(lanes)
    word = types.int64
    signature = types.int64(features, lanes, word, word, word, word, word, word)

    def generate(context, builder, signature, arguments):
        prediction, label, alive, totals, hashes, classes = arguments[2:]
        lanes = Lanes(builder, *shape)
        prediction, label, alive, totals = (builder.inttoptr(x, POINTER) for x in (prediction, label, alive, totals))
        masks, seen = [], []
        for chunk, wrong in enumerate(endings.misclassified(lanes, prediction, label, classes)):
            lanes.store(builder.fadd(lanes.load(totals, chunk), wrong), totals, chunk)
            now = lanes.load(alive, chunk, BITS)
            masks.append(now)
            seen.append(builder.select(builder.trunc(now, MASK), wrong, lanes.splat(at.FAILED_ERROR)))
        _mix_errors(lanes, hashes, seen)
        return _any_alive(lanes, masks)

    return signature, generate


# the kernel -------------------------------------------------------------------------------------------------------


@cache
def kernel_address(features: int, lanes: int, vector_labels: bool = False) -> int:
    """Return the address of the compiled kernel void(int64* context) for a shape, compiling or loading it first.

    features: F >= 1. lanes: a multiple of lanes.WIDTH. Compiling takes seconds; a cached kernel loads in milliseconds.
    """
    return _build(features, lanes, int(vector_labels)).address


def _build(F: int, L: int, V: int):
    example_bytes, lane_bytes = 8 * F * L, 8 * L
    label_bytes = example_bytes if V else lane_bytes

    @cfunc(types.void(types.int64), cache=True, error_model="numpy")
    def kernel(ctx):
        code = load_word(ctx + 8 * at.CODE)
        setup_count = load_word(ctx + 8 * at.SETUP_COUNT)
        predict_count = load_word(ctx + 8 * at.PREDICT_COUNT)
        learn_count = load_word(ctx + 8 * at.LEARN_COUNT)
        predict_code = code + 8 * at.INSTRUCTION_WORDS * setup_count
        learn_code = predict_code + 8 * at.INSTRUCTION_WORDS * predict_count
        predict_patches = load_word(ctx + 8 * at.PATCHES)
        learn_patches = predict_patches + 8 * load_word(ctx + 8 * at.PREDICT_FEATURES)
        end_features = learn_patches + 8 * load_word(ctx + 8 * at.LEARN_FEATURES)
        label_patches = load_word(ctx + 8 * at.LABEL_PATCHES)
        end_labels = label_patches + 8 * load_word(ctx + 8 * at.LEARN_LABELS)
        scratch = load_word(ctx + 8 * at.SCRATCH)
        random = load_word(ctx + 8 * at.RANDOM)
        prediction = load_word(ctx + 8 * at.PREDICTION)
        train_features = load_word(ctx + 8 * at.TRAIN_FEATURES)
        train_labels = load_word(ctx + 8 * at.TRAIN_LABELS)
        train_count = load_word(ctx + 8 * at.TRAIN_COUNT)
        valid_features = load_word(ctx + 8 * at.VALID_FEATURES)
        valid_labels = load_word(ctx + 8 * at.VALID_LABELS)
        valid_count = load_word(ctx + 8 * at.VALID_COUNT)
        epochs = load_word(ctx + 8 * at.EPOCHS)
        orders = load_word(ctx + 8 * at.ORDERS)
        order_stride = load_word(ctx + 8 * at.ORDER_STRIDE)
        is_accuracy = load_word(ctx + 8 * at.IS_ACCURACY)
        classes = load_word(ctx + 8 * at.CLASSES)
        vector_label = load_word(ctx + 8 * at.VECTOR_LABEL)
        max_abs_error = load_double(ctx + 8 * at.MAX_ABS_ERROR)
        active = load_word(ctx + 8 * at.ACTIVE)
        alive = load_word(ctx + 8 * at.ALIVE)
        steps = load_word(ctx + 8 * at.STEPS)
        totals = load_word(ctx + 8 * at.TOTALS)
        fitness = load_word(ctx + 8 * at.FITNESS)
        hashes = load_word(ctx + 8 * at.HASHES)

        store_word(ctx + 8 * at.PARTIAL_FAILURE, 0)
        zero_words(steps, L)
        zero_words(fitness, L)
        zero_words(load_word(ctx + 8 * at.BANK), load_word(ctx + 8 * at.BANK_WORDS))
        running = 0
        for lane in range(L):
            running -= load_word(active + 8 * lane)
            # In training `alive` says which lanes go on; validation uses the second half of the array.
            store_word(alive + 8 * lane, load_word(active + 8 * lane))
        interpret(F, L, code, setup_count, scratch, random)

        features_address = 0
        for epoch in range(epochs):
            left = 1
            for step in range(train_count):
                example = step
                if epoch > 0:
                    example = load_word(orders + 8 * ((epoch - 1) * order_stride + step))
                features_address = train_features + example_bytes * example
                label_address = train_labels + label_bytes * example
                for slot in range(predict_patches, end_features, 8):
                    store_word(load_word(slot), features_address)
                for slot in range(label_patches, end_labels, 8):
                    store_word(load_word(slot), label_address)
                if V:
                    zero_words(vector_label, F * L)
                interpret(F, L, predict_code, predict_count, scratch, random)
                if V:
                    left = after_training_classes(
                        F, L, prediction, label_address, alive, steps, hashes, max_abs_error, classes
                    )
                    copy_words(vector_label, label_address, F * L)
                else:
                    left = after_training_predict(
                        F, L, prediction, label_address, alive, steps, hashes, max_abs_error, is_accuracy
                    )
                if left == 0:
                    break
                interpret(F, L, learn_code, learn_count, scratch, random)
            if left == 0:
                break

            zero_words(totals, L)
            valid_alive = alive + lane_bytes
            for lane in range(L):
                store_word(valid_alive + 8 * lane, load_word(alive + 8 * lane))
            for example in range(valid_count):
                features_address = valid_features + example_bytes * example
                for slot in range(predict_patches, learn_patches, 8):
                    store_word(load_word(slot), features_address)
                if V:
                    zero_words(vector_label, F * L)
                interpret(F, L, predict_code, predict_count, scratch, random)
                label_address = valid_labels + label_bytes * example
                if V:
                    left = after_validation_classes(
                        F, L, prediction, label_address, valid_alive, totals, hashes, classes
                    )
                else:
                    left = after_validation_predict(
                        F, L, prediction, label_address, valid_alive, totals, hashes, max_abs_error, is_accuracy
                    )
                if left == 0:
                    break
            for lane in range(L):
                if load_word(alive + 8 * lane) == 0:
                    continue
                if load_word(valid_alive + 8 * lane) == 0:
                    if epoch + 1 < epochs and running > 1:
                        store_word(ctx + 8 * at.PARTIAL_FAILURE, 1)
                    continue
                total = load_double(totals + 8 * lane)
                if is_accuracy != 0:
                    score = 1.0 - total / valid_count
                else:
                    score = 1.0 - TWO_OVER_PI * math.atan(math.sqrt(total / valid_count))
                if score > load_double(fitness + 8 * lane):
                    store_double(fitness + 8 * lane, score)
        store_word(ctx + 8 * at.LAST_FEATURES, features_address)

    return kernel


assert WIDTH == 4 and BITS.count == WIDTH
