"""What runs beside a server under test, in its network namespace: the sink and the collector.

The peer is every program in that namespace. It may send anything, in any number and at any speed:
all that is kept is bounded, and a bound that was reached is said. Standard library only, because
the module runs by itself in a container of our image.
"""
