"""Exponential, logarithm and normal quantile over lanes, without a library call and the same on every machine.

Accurate to about an ulp (tests/engine/test_core.py says how much); only plain additions, multiplications and divisions are used,
never fused ones, so that results do not depend on the processor.
"""

from __future__ import annotations

from engine.core.lanes import Lanes, Value

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2_E = 1.4426950408889634074
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to the nearest integer, kept in the low bits
_FACTORIALS = [
    1.0 / f for f in (6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1)
]
_LOG_SERIES = [2.0 / k for k in range(21, 2, -2)]

# Wichura's algorithm AS 241 (PPND16): rational approximations of the normal quantile, highest power first.
_CENTRE_P = (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
             1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0)  # fmt: skip
_CENTRE_Q = (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
             5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0)  # fmt: skip
_NEAR_P = (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
           3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0)  # fmt: skip
_NEAR_Q = (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
           6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0)  # fmt: skip
_FAR_P = (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
          2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0)  # fmt: skip
_FAR_Q = (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
          1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0)  # fmt: skip


def exp(lanes: Lanes, x: Value) -> Value:
    """Return e**x of each lane; overflow gives inf, NaN stays NaN."""
    b = lanes.builder
    # NaN passes through both selects, since every comparison with it is false.
    x = b.select(b.fcmp_ordered(">", x, lanes.splat(710.0)), lanes.splat(710.0), x)
    x = b.select(b.fcmp_ordered("<", x, lanes.splat(-750.0)), lanes.splat(-750.0), x)
    shifted = b.fadd(b.fmul(x, lanes.splat(_LOG2_E)), lanes.splat(_ROUND))
    count = b.fsub(shifted, lanes.splat(_ROUND))
    rest = b.fsub(b.fsub(x, b.fmul(count, lanes.splat(_LN2_HIGH))), b.fmul(count, lanes.splat(_LN2_LOW)))
    result = _estrin_exp(lanes, rest)
    # 2**count in two factors, for results below the normal range and above half of the largest number.
    integer = b.sub(lanes.to_bits(shifted), lanes.to_bits(lanes.splat(_ROUND)))
    half = b.ashr(integer, lanes.splat_bits(1))
    return b.fmul(b.fmul(result, _power_of_two(lanes, half)), _power_of_two(lanes, b.sub(integer, half)))


def _estrin_exp(lanes: Lanes, r: Value) -> Value:
    """Taylor polynomial of degree 13, in pairs to shorten the chain of dependent operations."""
    b, c = lanes.builder, _FACTORIALS[::-1]
    square = b.fmul(r, r)
    pairs = [b.fadd(lanes.splat(c[k]), b.fmul(lanes.splat(c[k + 1]), r)) for k in range(0, 14, 2)]
    fourth = b.fmul(square, square)
    quads = [b.fadd(pairs[k], b.fmul(pairs[k + 1], square)) for k in range(0, 6, 2)] + [pairs[6]]
    low = b.fadd(quads[0], b.fmul(quads[1], fourth))
    high = b.fadd(quads[2], b.fmul(quads[3], fourth))
    return b.fadd(low, b.fmul(high, b.fmul(fourth, fourth)))


def _power_of_two(lanes: Lanes, exponent: Value) -> Value:
    b = lanes.builder
    return lanes.from_bits(b.shl(b.add(exponent, lanes.splat_bits(1023)), lanes.splat_bits(52)))


def sigmoid(lanes: Lanes, x: Value) -> Value:
    """Return 1 / (1 + e**-x) of each lane."""
    b = lanes.builder
    return b.fdiv(lanes.splat(1.0), b.fadd(lanes.splat(1.0), exp(lanes, b.fneg(x))))


def log(lanes: Lanes, x: Value) -> Value:
    """Return the natural logarithm of each lane; 0 gives -inf, negative numbers NaN."""
    b = lanes.builder
    tiny = b.fcmp_ordered("<", x, lanes.splat(2.2250738585072014e-308))
    scaled = b.select(tiny, b.fmul(x, lanes.splat(2.0**54)), x)
    bits = lanes.to_bits(scaled)
    # x = 2**k * m with m in [sqrt(1/2), sqrt(2)): shift the boundary by sqrt(1/2)'s distance from 1.
    offset = 0x3FE6A09E667F3BCD
    shifted = b.sub(bits, lanes.splat_bits(offset))
    exponent = b.ashr(shifted, lanes.splat_bits(52))
    mantissa = lanes.from_bits(b.sub(bits, b.shl(exponent, lanes.splat_bits(52))))
    count = b.sitofp(exponent, lanes.splat(0.0).type)
    count = b.fsub(count, b.select(tiny, lanes.splat(54.0), lanes.splat(0.0)))
    f = b.fsub(mantissa, lanes.splat(1.0))
    s = b.fdiv(f, b.fadd(mantissa, lanes.splat(1.0)))
    square = b.fmul(s, s)
    # log(m) = 2 atanh(s) = f - s * (f - square * series): the leading term is exact.
    series = b.fmul(square, lanes.polynomial(square, _LOG_SERIES))
    tail = b.fmul(s, b.fsub(f, series))
    low = b.fsub(tail, b.fmul(count, lanes.splat(_LN2_LOW)))
    result = b.fadd(b.fmul(count, lanes.splat(_LN2_HIGH)), b.fsub(f, low))
    infinity = lanes.splat(float("inf"))
    result = b.select(b.fcmp_ordered("==", x, infinity), infinity, result)
    result = b.select(b.fcmp_ordered("==", x, lanes.splat(0.0)), lanes.splat(float("-inf")), result)
    wrong = b.fcmp_unordered("<", x, lanes.splat(0.0))
    return b.select(wrong, lanes.splat(float("nan")), result)


def normal_quantile(lanes: Lanes, u: Value) -> Value:
    """Return the standard normal quantile of u in (0, 1), by Wichura's algorithm AS 241."""
    b = lanes.builder
    q = b.fsub(u, lanes.splat(0.5))
    r = b.fsub(lanes.splat(0.180625), b.fmul(q, q))
    centre = b.fmul(q, _ratio(lanes, r, _CENTRE_P, _CENTRE_Q))
    in_tail = b.fcmp_ordered(">", lanes.intrinsic("fabs", q), lanes.splat(0.425))
    before = b.block
    # Half of all vectors have no lane in the tails, whose formula needs a logarithm.
    with b.if_then(lanes.any(in_tail)):
        lower = b.fcmp_ordered("<", q, lanes.splat(0.0))
        t = lanes.intrinsic("sqrt", b.fneg(log(lanes, b.select(lower, u, b.fsub(lanes.splat(1.0), u)))))
        near = _ratio(lanes, b.fsub(t, lanes.splat(1.6)), _NEAR_P, _NEAR_Q)
        far = _ratio(lanes, b.fsub(t, lanes.splat(5.0)), _FAR_P, _FAR_Q)
        tail = b.select(b.fcmp_ordered("<=", t, lanes.splat(5.0)), near, far)
        with_tails = b.select(in_tail, b.select(lower, b.fneg(tail), tail), centre)
        inside = b.block
    result = b.phi(centre.type)
    result.add_incoming(centre, before)
    result.add_incoming(with_tails, inside)
    return result


def _ratio(lanes: Lanes, x: Value, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Value:
    return lanes.builder.fdiv(lanes.polynomial(x, numerator), lanes.polynomial(x, denominator))


def random_bits(lanes: Lanes, state: Value, chunk: int) -> Value:
    """Draw 64 random bits for each lane of a chunk with xoshiro256+; `state` points at 4 words a lane, word-major."""
    b = lanes.builder
    words = [lanes.load(state, word * lanes.chunks + chunk, lanes.bits) for word in range(4)]
    s0, s1, s2, s3 = words
    result = b.add(s0, s3)
    shifted = b.shl(s1, lanes.splat_bits(17))
    s2 = b.xor(s2, s0)
    s3 = b.xor(s3, s1)
    s1 = b.xor(s1, s2)
    s0 = b.xor(s0, s3)
    s2 = b.xor(s2, shifted)
    s3 = b.or_(b.shl(s3, lanes.splat_bits(45)), b.lshr(s3, lanes.splat_bits(19)))
    for word, value in enumerate((s0, s1, s2, s3)):
        lanes.store(value, state, word * lanes.chunks + chunk)
    return result


def uniform(lanes: Lanes, state: Value, chunk: int) -> Value:
    """Draw from the open interval (0, 1): the odd multiples of 2**-53."""
    b = lanes.builder
    mantissa = b.lshr(random_bits(lanes, state, chunk), lanes.splat_bits(12))
    one_to_two = lanes.from_bits(b.or_(mantissa, lanes.splat_bits(0x3FF0000000000000)))
    return b.fsub(one_to_two, lanes.splat(1.0 - 2.0**-53))
