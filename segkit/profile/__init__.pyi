from segkit.profile.cards import OfferRule as OfferRule
from segkit.profile.cards import Persona as Persona
from segkit.profile.cards import Personas as Personas
from segkit.profile.cards import write_personas as write_personas
from segkit.profile.persona_pages import PersonaPages as PersonaPages
from segkit.profile.persona_pages import write_persona_pages as write_persona_pages
from segkit.profile.profile import choose_kpi as choose_kpi
from segkit.profile.profile import profile_segments as profile_segments
from segkit.profile.segment_profile import Profile as Profile
from segkit.profile.usability import Thresholds as Thresholds
from segkit.profile.usability import Usability as Usability
from segkit.profile.usability import assess_usability as assess_usability
from segkit.profile.variables import MarkerRule as MarkerRule
from segkit.profile.years import YearChange as YearChange
from segkit.profile.years import compare_years as compare_years

__all__: list[str]
