"""dicomlab and its peers side by side: ``python -m benchmarks``, or ``make benchmarks``.

One file holds one row. harness.py measures, data.py makes what is measured on, peers.py starts the programs of
others, canned.py is a server that answers from memory, so that only the client is measured.
"""
