"""Proves from a model's graph that each output row depends on its own input row alone.

Comparing calls cannot show it: a model may mix rows only for inputs that its maker knows, and so hand the rows of one client
to another whose request shares the call. So each value is followed from the inputs, whose first axis is the row axis:

    input [ROW, 3] --Gemm--> [ROW, 2] --ReduceMean(axes=[1])--> [ROW, 1]   proven
                                      --ReduceMean(axes=[0])-->            refused: "ReduceMean works along the rows"

An operator without a rule is refused, whatever it does.
"""
