"""One reader and one writer of each format of text: instants, durations, UUIDs, characters.

Every door, the language, decision tables and the simulator use these; a text that one of them
takes is taken by all of them. JSON and its numbers are in `coe.json_types`.
"""
