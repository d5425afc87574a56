"""Device profiles as `--device list` prints them."""

from __future__ import annotations


def device_lines() -> list[str]:
    """A line for each profile that can be named: built in, or measured and in the cache folder."""
    from darkfuse.plan.price.device import BUILTIN, measured_devices

    found = [*measured_devices(), *BUILTIN.values()]
    lines = [f"{'name':14} {'cores':>5} {'3x3 GFLOP/s':>12} {'storage MB/s':>13}"]
    for device in found:
        cores = max(device.rates)
        lines.append(f"{device.name:14} {cores:5} {device.rates[cores].direct3:12.0f} "
                     f"{1000 * device.read:13.0f}  {'estimated' if device.estimate else 'measured'}")
    return lines
