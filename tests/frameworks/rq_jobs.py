"""Jobs of the RQ workload."""


def double(number):
    return 2 * number


def fail():
    raise ValueError("as asked")
