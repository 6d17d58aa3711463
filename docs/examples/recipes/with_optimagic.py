"""A problem of optimagic with named parameters, solved by lbfgsb behind its scipy_lbfgsb."""

import optimagic as om

import lbfgsb


def fun(p):
    return (p["a"] - 1) ** 2 + (p["b"] - 2) ** 2 + p["a"] * p["b"]


def jac(p):
    return {"a": 2 * (p["a"] - 1) + p["b"], "b": 2 * (p["b"] - 2) + p["a"]}


with lbfgsb.patched_scipy():
    res = om.minimize(
        fun,
        params={"a": 1.0, "b": 1.0},
        jac=jac,
        bounds=om.Bounds(lower={"a": 0.5, "b": 0.0}),
        algorithm="scipy_lbfgsb",
    )

print(f"a = {res.params['a']:.4f}, b = {res.params['b']:.4f}, f = {res.fun:.4f}")
