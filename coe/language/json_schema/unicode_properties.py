r"""The properties of characters that `\p{…}` may name (ECMA-262, tables 66 to 68).

Names are exact: neither case nor spaces are ignored. Which scripts there are, the engine knows.
"""

from __future__ import annotations

import re
from typing import Final

# The values of General_Category: their short names and their long ones.
_CATEGORY_NAMES: Final = """
    C Cc Cf Cn Co Cs L LC Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm
    So Z Zl Zp Zs Other Control cntrl Format Unassigned Private_Use Surrogate Letter Cased_Letter
    Lowercase_Letter Modifier_Letter Other_Letter Titlecase_Letter Uppercase_Letter Mark
    Combining_Mark Spacing_Mark Enclosing_Mark Nonspacing_Mark Number Decimal_Number digit
    Letter_Number Other_Number Punctuation punct Connector_Punctuation Dash_Punctuation
    Close_Punctuation Final_Punctuation Initial_Punctuation Other_Punctuation Open_Punctuation
    Symbol Currency_Symbol Modifier_Symbol Math_Symbol Other_Symbol Separator Line_Separator
    Paragraph_Separator Space_Separator
"""
_BINARY_NAMES: Final = """
    ASCII ASCII_Hex_Digit AHex Alphabetic Alpha Any Assigned Bidi_Control Bidi_C Bidi_Mirrored
    Bidi_M Case_Ignorable CI Cased Changes_When_Casefolded CWCF Changes_When_Casemapped CWCM
    Changes_When_Lowercased CWL Changes_When_NFKC_Casefolded CWKCF Changes_When_Titlecased CWT
    Changes_When_Uppercased CWU Dash Default_Ignorable_Code_Point DI Deprecated Dep Diacritic Dia
    Emoji Emoji_Component EComp Emoji_Modifier EMod Emoji_Modifier_Base EBase Emoji_Presentation
    EPres Extended_Pictographic ExtPict Extender Ext Grapheme_Base Gr_Base Grapheme_Extend Gr_Ext
    Hex_Digit Hex IDS_Binary_Operator IDSB IDS_Trinary_Operator IDST ID_Continue IDC ID_Start IDS
    Ideographic Ideo Join_Control Join_C Logical_Order_Exception LOE Lowercase Lower Math
    Noncharacter_Code_Point NChar Pattern_Syntax Pat_Syn Pattern_White_Space Pat_WS Quotation_Mark
    QMark Radical Regional_Indicator RI Sentence_Terminal STerm Soft_Dotted SD
    Terminal_Punctuation Term Unified_Ideograph UIdeo Uppercase Upper Variation_Selector VS
    White_Space space XID_Continue XIDC XID_Start XIDS
"""
_CATEGORIES: Final = frozenset(_CATEGORY_NAMES.split())
_BINARY: Final = frozenset(_BINARY_NAMES.split())
_SCRIPTS: Final = frozenset(("Script", "sc", "Script_Extensions", "scx"))
_SCRIPT: Final = re.compile(r"[A-Z][a-z]+(?:_[A-Z]?[a-z]+)*")


def is_property(name: str, value: str) -> bool:
    r"""Whether `\p{name=value}` is a property, or `\p{value}` where the name is empty."""
    if name in _SCRIPTS:
        return _SCRIPT.fullmatch(value) is not None
    if name in ("General_Category", "gc"):
        return value in _CATEGORIES
    return not name and (value in _CATEGORIES or value in _BINARY)
