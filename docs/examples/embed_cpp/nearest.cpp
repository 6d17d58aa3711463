// Minimise a C++ callable over a box, and a Python module made of it with pybind11: the point of a
// box that is nearest to an ellipsoid, as measured by its equation.
#include <cmath>
#include <exception>
#include <stdexcept>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <lbfgsb.h>

namespace py = pybind11;
using Vector = std::vector<double>;

// Minimise f, any callable double(Py_ssize_t n, const double *x, double *g). C code can't be thrown
// through: what f throws is kept, ends the run, and is thrown here.
template <class F>
lbfgsb_result minimize(F &&f, Vector &x, const Vector &lower, const Vector &upper,
                       const lbfgsb_options &options)
{
    struct Call {
        F &f;
        std::exception_ptr thrown;
    } call{f, nullptr};
    auto objective = [](Py_ssize_t n, const double *x, double *f, double *g, void *data) -> int {
        Call &call = *static_cast<Call *>(data);
        try {
            *f = call.f(n, x, g);
            return 0;
        } catch (...) {
            call.thrown = std::current_exception();
            return 1;
        }
    };
    lbfgsb_result result;
    lbfgsb_minimize(objective, &call, static_cast<Py_ssize_t>(x.size()), x.data(), lower.data(),
                    upper.data(), &options, &result);
    if (call.thrown)
        std::rethrow_exception(call.thrown);
    if (result.status < 0)
        throw std::invalid_argument(lbfgsb_message(result.status));
    return result;
}

// The point of the box where q(x) = sum (x_i / axes_i)^2 - 1 is nearest to 0.
py::tuple nearest(const Vector &axes, Vector x, const Vector &lower, const Vector &upper)
{
    if (axes.size() != x.size() || lower.size() != x.size() || upper.size() != x.size())
        throw std::invalid_argument("axes, x, lower and upper must have the same length");
    lbfgsb_options options = lbfgsb_default_options();
    options.ftol = 0;
    options.gtol = 1e-9;
    options.maxiter = 1000;
    auto f = [&axes](Py_ssize_t n, const double *x, double *g) {
        double q = -1;
        for (Py_ssize_t i = 0; i < n; i++) {
            if (axes[i] == 0)
                throw std::domain_error("an axis is 0");
            q += x[i] * x[i] / (axes[i] * axes[i]);
        }
        for (Py_ssize_t i = 0; i < n; i++)
            g[i] = 4 * q * x[i] / (axes[i] * axes[i]);
        return q * q;
    };
    lbfgsb_result result;
    {
        py::gil_scoped_release release;
        result = minimize(f, x, lower, upper, options);
    }
    return py::make_tuple(x, result.fun, result.nit, lbfgsb_message(result.status));
}

PYBIND11_MODULE(nearest, m)
{
    if (lbfgsb_import() < 0)
        throw py::error_already_set();
    m.def("nearest", &nearest, py::arg("axes"), py::arg("x"), py::arg("lower"), py::arg("upper"));
}
